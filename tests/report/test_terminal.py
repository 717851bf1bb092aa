"""The results in the terminal: the table of a run or a report, published numbers, the page."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from sreclip.errors import StoreError
from sreclip.evaluate.literature import read_literature
from sreclip.evaluate.metrics import METRICS
from sreclip.evaluate.significance import COLUMNS, read_significance
from sreclip.evaluate.stored import read_evaluations
from sreclip.features.images import Reject
from sreclip.plan.plan import Plan
from sreclip.plan.results import REJECTS
from sreclip.plan.run import snapshot_path, write_snapshot
from sreclip.report.labels import warnings_of
from sreclip.report.page import write_page
from sreclip.report.publish import publish
from sreclip.report.rejects import Rejects, write_rejects
from sreclip.report.table import MINI_NOTE
from sreclip.report.terminal import last_results, render_literature, render_table
from tests.report.conftest import CAVEATS, CITED, WARNING, words


def summary(mean: float, half: float) -> dict[str, float]:
    return {"mean": mean, "sd": half, "low": mean - half, "high": mean + half, "n": 3}


def printed(source: Plan | Path, width: int = 80) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        for part in filter(None, (render_table(source), render_literature(source))):
            console.print(part)
    return capture.get()


def test_the_terminal_table_fits_in_80_columns(plan: Plan) -> None:
    text = printed(plan)
    assert max(map(len, text.splitlines())) <= 80
    for part in ("Method", "Known", "Unknown", "AUSUC", "ECE", "SRE-CLIP T", "CLIP-Adapter"):
        assert part in text
    assert " ".join(MINI_NOTE.split()[:6]) in text


def test_the_best_is_bold(plan: Plan) -> None:
    table = render_table(plan)
    known = list(table.columns[1].cells)
    assert [cell.style for cell in known].count("bold") == 1


def test_published_results_give_the_same_table(plan: Plan, tmp_path: Path) -> None:
    for name in ("metrics.json", "tables/significance.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(plan.comparison[Path(name).name], tmp_path / name)
    methods = [
        {"name": "zero_shot", "title": "Zero-shot", "transductive": False},
        {"name": "clip_adapter", "title": "CLIP-Adapter", "transductive": False},
        {"name": "sre_clip", "title": "SRE-CLIP", "transductive": True},
    ]
    few = warnings_of(read_evaluations(plan.comparison.inputs)[0])
    stamp = {"confidence": 0.95, "selection": "last", "methods": methods, "few_labels": few}
    stamp_file = tmp_path / "made-from" / "0123456789ab.json"
    stamp_file.parent.mkdir()
    stamp_file.write_text(json.dumps(stamp))
    assert printed(tmp_path) == printed(plan)
    # Earlier versions named no rule: the last step was taken.
    del stamp["selection"]
    stamp_file.write_text(json.dumps(stamp))
    assert printed(tmp_path) == printed(plan)
    (tmp_path / "tables/significance.csv").unlink()
    text = printed(tmp_path)
    assert "SRE-CLIP T" in text
    assert "↑" not in text


def test_without_a_stamp_methods_have_their_short_names(plan: Plan, tmp_path: Path) -> None:
    source = plan.comparison["metrics.json"]
    (tmp_path / "metrics.json").write_text(source.read_text())
    text = printed(tmp_path)
    assert "sre_clip" in text
    assert "selection" not in text


def test_arrows_stand_beside_h_where_the_difference_is_clear(plan: Plan) -> None:
    rows = read_significance(plan.comparison["significance.csv"])
    adjusted = {
        row.method: row.p_holm
        for row in rows
        if (row.reference_kind, row.metric) == ("zero_shot", "h")
    }
    h = {str(cell) for cell in render_table(plan).columns[3].cells}
    assert sum(cell.endswith("↑") for cell in h) == sum(p < 0.05 for p in adjusted.values()) > 0
    assert all(cell[-1] in "↑↓ " for cell in h)
    assert "Holm-adjusted p < 0.05" in " ".join(printed(plan).split())


def test_the_widest_numbers_are_not_cut(plan: Plan, tmp_path: Path) -> None:
    wide = {name: summary(0.453, 0.0002) for name in METRICS}
    names = {"zero_shot": wide, "clip_adapter": wide}
    (tmp_path / "metrics.json").write_text(json.dumps({"task": {"mini": names}}))
    (tmp_path / "made-from").mkdir()
    (tmp_path / "made-from" / "0123456789ab.json").write_text('{"confidence": 0.95}')
    (tmp_path / "tables").mkdir()
    row = "zero_shot,zero_shot,clip_adapter,h,-0.1,-0.2,-0.05,0.001,0.001"
    (tmp_path / "tables/significance.csv").write_text(f"{','.join(COLUMNS)}\n{row}\n")
    text = printed(tmp_path)
    assert max(map(len, text.splitlines())) <= 80
    assert "45.3±<0.1↓" in text
    assert "…" not in text


def test_upper_bounds_are_called_so(make_results: Callable[..., Plan], tmp_path: Path) -> None:
    plan = make_results(tmp_path, selection="oracle", per_class=2, steps=2)
    text = " ".join(printed(plan).split())
    assert "upper bounds, not results" in text
    assert "selection (oracle): settings chosen WITH target labels" in text


@pytest.mark.parametrize("text", [None, "{}", "[]", '{"task": 1}'])
def test_missing_or_foreign_metrics_are_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(StoreError, match=r"metrics\.json"):
        render_table(tmp_path)


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


def test_a_run_of_another_version(tmp_path: Path) -> None:
    params = tmp_path / "results/params/0123456789ab.yaml"
    params.parent.mkdir(parents=True)
    params.write_text("task: {openmoji: {picture_size: 224}}\n")
    with pytest.raises(StoreError, match="another version of sreclip") as caught:
        last_results(None, tmp_path)
    assert caught.value.hint.startswith("run again: snakemake")


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


def test_rejects_are_in_the_last_line_if_there_are_any(project: Plan) -> None:
    write_snapshot(project.params, project.results)
    assert "Rejected images: not known: the feature files" in shown(None, project.folder)
    rejected = [("source", Reject(1, "source/a, b.jpg", "the file is truncated"))]
    for found, line in (
        (rejected, "Rejected images: 1 source; listed in "),
        (
            [*rejected, ("target", Reject(2, "target/a.jpg", "too thin"))],
            "Rejected images: 1 source, 1 target; listed in ",
        ),
        ([], ""),
    ):
        write_rejects(project.page[REJECTS], Rejects(found))
        publish(project)
        said = shown(None, project.folder)
        assert (line in said) if line else ("ejected" not in said)
        assert not line or f"listed in {project.reports}/tables/rejects.csv" in said


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


def test_published_numbers_in_the_terminal(i2awa: Plan) -> None:
    text = printed(i2awa)
    assert max(map(len, text.splitlines())) <= 80
    rows = [line.split() for line in text.splitlines()]
    numbers = json.loads((i2awa.comparison["metrics.json"]).read_text())
    metrics = numbers["i2awa"]["mini"]["sre_clip_reference"]
    for metric, title, published in (
        ("known_micro", "Known", "88.02"),
        ("unknown_micro", "Unknown", "69.7"),
        ("h_micro", "H", "77.7"),
    ):
        # The measured fraction of images is beside it.
        (row,) = [row for row in rows if published in row and title in row]
        measured = float(row[row.index(published) + 1])
        assert measured == pytest.approx(100 * metrics[metric]["mean"], abs=0.51)
    for said in (CITED, *CAVEATS, "mixed batches"):
        assert said in words(text)


def test_published_numbers_go_into_the_reports(i2awa: Plan) -> None:
    write_page(i2awa)
    publish(i2awa)
    assert len(read_literature(i2awa.reports / "tables/literature.csv")) == 3
    assert printed(i2awa.reports) == printed(i2awa)
    # Reports from before there was such a table.
    (i2awa.reports / "tables/literature.csv").unlink()
    assert "Published" not in printed(i2awa.reports)


def test_the_authors_way_is_warned_of_in_the_terminal(reference: Plan, tmp_path: Path) -> None:
    text = printed(reference)
    assert max(map(len, text.splitlines())) <= 80
    assert "the authors' way, not results" in words(text)
    assert "WARNING: evaluated the authors' way" in words(text)
    assert WARNING in words(text)
    assert "or selection" not in words(text)
    assert "↑" not in text
    shutil.copy(reference.comparison["metrics.json"], tmp_path)
    assert WARNING in words(printed(tmp_path))
