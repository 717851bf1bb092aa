"""Tasks, the manifest, and reading pictures."""
