"""Paths that Snakemake and DVC take for patterns."""

from __future__ import annotations

import os
import subprocess

from sreclip.errors import ConfigError


def literal(path: str | os.PathLike[str]) -> str:
    """Return the pattern that Snakemake formats to this very path."""
    return os.fspath(path).replace("{", "{{").replace("}", "}}")


def check_cache() -> None:
    """Raise `ConfigError` if DVC, which called, cannot store what is made.

    Its message on the way fills in the path of its cache twice: braces end the stage, after all
    its jobs, with the text between them as the only explanation.
    """
    if not _has_braces(os.environ.get("DVC_ROOT", "")):
        return
    asked = subprocess.run(["dvc", "cache", "dir"], capture_output=True, text=True, check=False)
    cache = asked.stdout.strip()
    if _has_braces(cache):
        raise ConfigError(
            f"{cache}: DVC cannot use a cache with braces in its path",
            "rename the folder, or put the cache elsewhere: dvc cache dir FOLDER",
        )


def _has_braces(path: str) -> bool:
    return "{" in path or "}" in path
