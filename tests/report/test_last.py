"""`sreclip results`: what was run last, or that there is nothing; table and page of one run."""

from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from sreclip.errors import StoreError
from sreclip.plan.plan import Plan
from sreclip.plan.run import snapshot_path, write_snapshot
from sreclip.report.last import last_results
from sreclip.report.page import write_page
from sreclip.report.publish import publish


@pytest.fixture
def project(plan: Plan, tmp_path: Path) -> Plan:
    """The plan in a folder of its own, evaluated and published, but without a record of a run."""
    (tmp_path / "results").mkdir()
    for path in plan.results.iterdir():
        (tmp_path / "results" / path.name).symlink_to(path)
    own = dataclasses.replace(plan, folder=tmp_path)
    write_page(own)
    publish(own)
    return own


def shown(plan: Plan | None, folder: Path) -> str:
    text = io.StringIO()
    Console(file=text, width=300).print(last_results(plan, folder))
    return text.getvalue()


def other_run(project: Plan) -> Plan:
    """A run with another seed, of which nothing is there."""
    train = project.params.train.model_copy(update={"seeds": [7]})
    return project.changed(train=train)


def test_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing was run here yet"):
        last_results(None, tmp_path)


def test_of_a_clone_what_was_published(project: Plan) -> None:
    assert f"Page: {project.reports}/index.html" in shown(None, project.folder)
    (project.reports / "index.html").write_text("of another run")
    assert "Page" not in shown(None, project.folder)


def test_the_last_run_and_its_page(project: Plan) -> None:
    write_snapshot(project.params, project.results)
    assert f"Page: {project.reports}/index.html" in shown(None, project.folder)
    (project.reports / "metrics.json").write_text("{}")
    said = shown(None, project.folder)
    assert "SRE-CLIP" in said
    assert f"Page: {project.page['index.html']}" in said, "its own, not one beside other numbers"


def test_a_later_run_without_a_table_is_not_answered_by_an_earlier_one(project: Plan) -> None:
    other = other_run(project)
    write_snapshot(project.params, project.results)
    write_snapshot(other.params, project.results)
    later = snapshot_path(project.params, project.results).stat().st_mtime_ns + 10**9
    os.utime(snapshot_path(other.params, project.results), ns=(later, later))
    with pytest.raises(StoreError, match="has no table") as caught:
        last_results(None, project.folder)
    assert "snakemake --cores all all" in caught.value.hint
    assert "SRE-CLIP" in shown(project, project.folder), "by its parameters it is still there"
