"""Paths that Snakemake takes for patterns."""

from __future__ import annotations

import os


def literal(path: str | os.PathLike[str]) -> str:
    """Return the pattern that Snakemake formats to this very path."""
    return os.fspath(path).replace("{", "{{").replace("}", "}}")
