"""What DVC's cache holds of a git revision."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from sreclip.provenance.git import git

LOCK = "dvc.lock"


def cached_text(revision: str, path: str) -> str | None:
    """Return a file that ``dvc.lock`` of a git revision names, by its path in the project.

    None where the lock does not name it, or the cache of this machine does not hold it.
    """
    md5 = _md5_of(git("show", f"{revision}:./{LOCK}"), path)
    folder = _cache() if md5 else None
    if md5 is None or folder is None:
        return None
    try:
        return (folder / "files/md5" / md5[:2] / md5[2:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _md5_of(lock: str | None, path: str) -> str | None:
    try:
        stages = yaml.safe_load(lock or "")["stages"].values()
        outs = [out for stage in stages for out in stage.get("outs", [])]
        return next((str(out["md5"]) for out in outs if out["path"] == path), None)
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        return None


def _cache() -> Path | None:
    command = [sys.executable, "-P", "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(done.stdout.strip()) if done.returncode == 0 and done.stdout.strip() else None
