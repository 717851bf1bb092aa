"""What git says of a project folder; None where there is no git or no repository."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

# The run itself writes these, so that they say nothing about what it was made from.
WRITTEN_BY_RUNS = (":(exclude)dvc.lock", ":(exclude)reports")
CODE = ("sreclip", "workflow", "Snakefile", "dvc.yaml")


def git(*arguments: str, folder: Path = Path()) -> str | None:
    """Run git in a folder and return what it printed, or None where it fails or is missing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def commit_of(revision: str = "HEAD", folder: Path = Path()) -> str | None:
    """Return the full name of a commit."""
    found = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", folder=folder)
    return found.strip() if found else None


def git_state(folder: Path = Path()) -> dict[str, Any] | None:
    """Return the commit, whether the folder differs from it, and in which files.

    Files that runs write do not count; new files count where the code is.
    """
    commit = commit_of(folder=folder)
    if commit is None:
        return None
    edited = git("diff", "--name-only", "HEAD", "--", ".", *WRITTEN_BY_RUNS, folder=folder)
    untracked = ("ls-files", "--others", "--exclude-standard", "--")
    new = git(*untracked, *CODE, "params.yaml", folder=folder)
    changed = sorted({*(edited or "").splitlines(), *(new or "").splitlines()})
    return {"commit": commit, "dirty": bool(changed), "changed": changed}
