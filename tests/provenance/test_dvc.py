"""Files of a git revision in DVC's cache."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
import yaml

from sreclip.provenance.dvc import cached_text

TEXT = "method,path\nzero_shot,a.jpg\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose lock names a file that is in the cache, and one that is not."""
    monkeypatch.chdir(tmp_path)
    md5 = hashlib.md5(TEXT.encode(), usedforsecurity=False).hexdigest()
    outs = [
        {"path": "reports/predictions.csv", "md5": md5},
        {"path": "reports/index.html", "md5": "ab" * 16},
    ]
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"report": {"outs": outs}}}))
    cached = tmp_path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    cached.parent.mkdir(parents=True)
    cached.write_text(TEXT)
    (tmp_path / ".dvc/config").write_text("[core]\n")
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    for command in (("init",), ("add", "dvc.lock"), ("commit", "-m", "first")):
        subprocess.run(["git", *who, *command], check=True, capture_output=True)
    return tmp_path


def test_what_the_cache_holds_is_read(project: Path) -> None:
    assert cached_text("HEAD", "reports/predictions.csv") == TEXT


def test_what_is_not_there_is_none(project: Path) -> None:
    assert cached_text("HEAD", "reports/index.html") is None
    assert cached_text("HEAD", "reports/other.csv") is None
    assert cached_text("v0", "reports/predictions.csv") is None


def test_a_damaged_lock_is_none(project: Path) -> None:
    (project / "dvc.lock").write_text("stages: [")
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *who, "commit", "-am", "x"], check=True, capture_output=True)
    assert cached_text("HEAD", "reports/predictions.csv") is None
