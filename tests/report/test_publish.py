"""Publication: what is copied, and when the stamp is true."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from sreclip.errors import StoreError
from sreclip.plan.plan import Plan
from sreclip.provenance.stamps import PUBLISHED
from sreclip.report import publish as module
from sreclip.report.page import write_page
from sreclip.report.publish import publish


@pytest.fixture
def ready(plan: Plan, tmp_path: Path) -> Plan:
    """The plan with a page, its results in a folder of their own beside empty reports."""
    if not plan.page["index.html"].exists():
        write_page(plan)
    (tmp_path / "results").symlink_to(plan.results)
    return dataclasses.replace(plan, folder=tmp_path)


def stamps(plan: Plan) -> list[str]:
    return sorted(path.name for path in (plan.reports / "made-from").glob("*.json"))


def test_copies_and_stamp(ready: Plan) -> None:
    publish(ready)
    assert ready.publication.path.exists()
    for name in PUBLISHED:
        assert (ready.reports / name).stat().st_size
    assert (ready.reports / "index.html").read_bytes() == ready.page["index.html"].read_bytes()
    results = ready.reports / "tables" / "results.csv"
    assert results.read_bytes() == (ready.comparison["results.csv"]).read_bytes()
    stamp = json.loads(ready.publication.path.read_text())
    assert stamp["keys"]["report"] == ready.page.key
    assert stamp["keys"]["fits"]["sre_clip"] == ready.fit("sre_clip").key
    assert stamp["versions"]["sreclip"]
    assert stamp["selection"] == "last"
    differences = ready.reports / "tables" / "significance.csv"
    assert differences.read_bytes() == (ready.comparison["significance.csv"]).read_bytes()


def test_again_gives_the_same_bytes(ready: Plan) -> None:
    publish(ready)
    before = {name: (ready.reports / name).read_bytes() for name in PUBLISHED}
    stamp = ready.publication.path.read_bytes()
    publish(ready)
    assert before == {name: (ready.reports / name).read_bytes() for name in PUBLISHED}
    assert ready.publication.path.read_bytes() == stamp


def test_older_stamps_go(ready: Plan) -> None:
    (ready.reports / "made-from").mkdir(parents=True)
    (ready.reports / "made-from" / "000000000000.json").write_text("{}")
    (ready.reports / "notes.json").write_text("{}")
    publish(ready)
    assert stamps(ready) == [ready.publication.path.name]
    assert (ready.reports / "notes.json").exists()


def test_a_stop_in_the_middle_leaves_no_stamp(ready: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(ready)

    def stop(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.shutil, "copyfile", stop)
    with pytest.raises(KeyboardInterrupt):
        publish(ready)
    assert stamps(ready) == []
    assert not list(ready.reports.rglob("*.tmp"))


def test_a_missing_result_touches_nothing(ready: Plan, tmp_path: Path) -> None:
    (ready.reports / "made-from").mkdir(parents=True)
    old = ready.reports / "made-from" / "000000000000.json"
    old.write_text("{}")
    no_page = dataclasses.replace(ready, params=with_title(ready, "another page"))
    with pytest.raises(StoreError, match=r"index\.html is missing") as caught:
        publish(no_page)
    assert "write_page" in caught.value.hint
    assert old.exists()


def test_published_files_are_replaced_and_never_written_in_place(ready: Plan) -> None:
    publish(ready)
    shared = ready.reports.parent / "cache-entry"
    shared.hardlink_to(ready.reports / "metrics.json")
    (ready.reports / "metrics.json").chmod(0o444)
    publish(ready)
    assert not shared.samefile(ready.reports / "metrics.json")


def with_title(plan: Plan, title: str):  # type: ignore[no-untyped-def]
    """The plan's parameters with another title."""
    report = plan.params.report.model_copy(update={"title": title})
    return plan.params.model_copy(update={"report": report})
