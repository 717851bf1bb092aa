"""Tasks, the manifest, and reading pictures."""

PREPARE_VERSION = 2
"""Raise it when a change of code changes what a prepared task holds; it is part of the key."""
