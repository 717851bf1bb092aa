"""A stamp is true only of the files that it was written beside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sreclip.provenance.stamps import (
    PUBLISHED,
    is_as_published,
    published_hashes,
    read_stamp,
    stamps,
)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    for name in ("tables", "made-from"):
        (tmp_path / name).mkdir()
    for name in PUBLISHED:
        (tmp_path / name).write_text(name)
    stamp = {"files": published_hashes(tmp_path)}
    (tmp_path / "made-from" / "0123456789ab.json").write_text(json.dumps(stamp))
    return tmp_path


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_is_not_after_a_file_was_removed_or_changed(reports: Path, name: str) -> None:
    assert is_as_published(reports)
    (reports / name).write_text("of another run")
    assert not is_as_published(reports)
    (reports / name).unlink()
    assert not is_as_published(reports)
    (reports / name).write_text(name)
    assert is_as_published(reports)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_stamp_that_says_nothing(reports: Path, text: str) -> None:
    stamp = stamps(reports)[0]
    stamp.write_text(text)
    assert read_stamp(stamp) == {}
    assert not is_as_published(reports)


def test_a_second_stamp_of_other_files(reports: Path) -> None:
    (reports / "made-from" / "0123456789ac.json").write_text('{"files": {}}')
    assert not is_as_published(reports)


def test_no_reports_at_all(tmp_path: Path) -> None:
    assert is_as_published(tmp_path / "none")
