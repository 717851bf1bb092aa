"""A stamp stands only beside the files that it speaks of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sreclip.provenance.stamps import PUBLISHED, published_hashes, stamps, withdraw_stale


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    for name in ("tables", "made-from"):
        (tmp_path / name).mkdir()
    for name in PUBLISHED:
        (tmp_path / name).write_text(name)
    stamp = {"files": published_hashes(tmp_path)}
    (tmp_path / "made-from" / "0123456789ab.json").write_text(json.dumps(stamp))
    return tmp_path


def test_a_true_stamp_stays(reports: Path) -> None:
    withdraw_stale(reports)
    assert len(stamps(reports)) == 1


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_removed_or_changed_file_withdraws_it(reports: Path, name: str) -> None:
    stamp = stamps(reports)[0]
    text = stamp.read_text()
    (reports / name).write_text("of another run")
    withdraw_stale(reports)
    assert stamps(reports) == []
    stamp.write_text(text)
    (reports / name).unlink()
    withdraw_stale(reports)
    assert stamps(reports) == []


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_stamp_that_says_nothing_goes(reports: Path, text: str) -> None:
    stamps(reports)[0].write_text(text)
    withdraw_stale(reports)
    assert stamps(reports) == []


def test_no_reports_at_all(tmp_path: Path) -> None:
    withdraw_stale(tmp_path / "none")
