"""Tasks, the manifest, and reading images."""

PREPARE_VERSION = 4
"""Part of a prepared task's key; raise it when a code change alters what the task holds."""
