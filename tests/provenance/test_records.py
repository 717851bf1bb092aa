"""Records of who made what: packed into a stamp and back, and what git says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sreclip.provenance.git import git_state
from sreclip.provenance.records import (
    MACHINE_VARIABLE,
    Link,
    Record,
    Records,
    machine,
    pack,
    record_path,
    unpack,
)
from sreclip.provenance.view import commit_text


def record(name: str, commit: str = "abc", inputs: tuple[str, ...] = ()) -> Record:
    link = Link("fit", f"results/models/{name}", "0123", inputs, {"method": name})
    return Record(link, "2026-01-01T00:00:00+00:00", {"git": {"commit": commit}, "params": "p"})


def test_pack_shares_circumstances_and_unpack_gives_them_back() -> None:
    records = [record("a"), record("b"), record("c", commit="def", inputs=("results/models/a",))]
    packed = json.loads(json.dumps(pack(records)))
    assert len(packed["circumstances"]) == 2
    assert unpack(packed) == {each.link.path: each for each in records}


@pytest.mark.parametrize(
    "value", [None, [], {}, {"circumstances": [], "links": [{"circumstances": 0}]}]
)
def test_unpack_of_something_else_is_empty(value: object) -> None:
    assert unpack(value) == {}


def stamp_with(reports: Path, *records: Record) -> None:
    (reports / "made-from").mkdir(parents=True, exist_ok=True)
    (reports / "made-from" / "1.json").write_text(json.dumps({"made": pack(records)}))


def test_a_clone_reads_records_from_the_stamp(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    stamp_with(reports, record("a"))
    assert Records(tmp_path).get("results/models/a") == record("a")
    assert Records(tmp_path).get("results/models/b") is None

    Records(tmp_path).keep_stamped()
    (reports / "made-from" / "1.json").unlink()
    assert Records(tmp_path).get("results/models/a") == record("a")
    assert Records(tmp_path).below("results/models") == [record("a")]


def test_own_records_are_kept_and_win(tmp_path: Path) -> None:
    stamp_with(tmp_path / "reports", record("a", commit="theirs"))
    own = record_path("results/models/a", tmp_path / "results")
    own.parent.mkdir(parents=True)
    own.write_text(json.dumps(record("a", commit="ours").to_json()))
    Records(tmp_path).keep_stamped()
    assert Records(tmp_path).get("results/models/a") == record("a", commit="ours")
    own.write_text("half a rec")
    assert Records(tmp_path).get("results/models/a") == record("a", commit="theirs")


def test_the_machine_can_be_given_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MACHINE_VARIABLE, "the lab's")
    assert machine()["name"] == "the lab's"


def test_git_state(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    assert git_state(tmp_path) is None
    assert commit_text(git_state(tmp_path)) == "outside of git"
    git("init")
    assert git_state(tmp_path) is None, "there is no commit yet"
    (tmp_path / "reports").mkdir()
    for name in ("params.yaml", "dvc.lock", "reports/metrics.json"):
        (tmp_path / name).write_text("a")
    git("add", "--all")
    git("commit", "-m", "first")
    state = git_state(tmp_path)
    assert state is not None
    assert not state["dirty"]
    assert commit_text(state) == f"commit {state['commit'][:12]}, clean"

    for name in ("dvc.lock", "reports/metrics.json", "notes.txt"):
        (tmp_path / name).write_text("b")
    assert git_state(tmp_path) == state, "what runs write, and notes, do not count"
    (tmp_path / "sreclip").mkdir()
    for name in ("params.yaml", "sreclip/new.py"):
        (tmp_path / name).write_text("b")
    dirty = git_state(tmp_path)
    assert dirty is not None
    assert dirty["changed"] == ["params.yaml", "sreclip/new.py"]
    assert commit_text(dirty).endswith("dirty: params.yaml, sreclip/new.py")
