"""Published numbers and the authors' way of evaluating, in the terminal and on the page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sreclip.data.benchmarks.classes import read_benchmark_classes
from sreclip.evaluate.literature import read_literature
from sreclip.plan.plan import Plan
from sreclip.report.page import render_page, write_page
from sreclip.report.publish import publish
from sreclip.report.table import render_literature, render_table
from tests.report.test_page import Parsed, section, words

CLASSES = read_benchmark_classes("i2awa")
I2AWA: dict[str, Any] = {
    "task": "i2awa",
    "classes": {item.entry.name: "animal" for item in CLASSES},
    "unknown": tuple(item.entry.name for item in CLASSES if not item.known),
    "methods": ("zero_shot", "sre_clip_reference"),
    "seeds": (0, 1),
    "per_class": 2,
    "steps": 3,
}
CITED = "github.com/yjainqdc/SRECLIP"
CAVEATS = ("best of nine tests during training on the test labels", "class-sorted test batches")
WARNING = "for comparison with published numbers only, never a result"


def printed(source: Plan | Path) -> str:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        for part in filter(None, (render_table(source), render_literature(source))):
            console.print(part)
    return capture.get()


@pytest.fixture(scope="module")
def i2awa(make_results: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return make_results(tmp_path_factory.mktemp("i2awa"), **I2AWA)


def test_published_numbers_in_the_terminal(i2awa: Plan) -> None:
    text = printed(i2awa)
    assert max(map(len, text.splitlines())) <= 80
    rows = [line.split() for line in text.splitlines()]
    shares = json.loads((i2awa.comparison["metrics.json"]).read_text())
    metrics = shares["i2awa"]["mini"]["sre_clip_reference"]
    for metric, title, published in (
        ("known_micro", "Known", "88.02"),
        ("unknown_micro", "Unknown", "69.7"),
        ("h_micro", "H", "77.7"),
    ):
        # The measured share of pictures stands beside, without its interval's digits.
        (row,) = [row for row in rows if published in row and title in row]
        measured = float(row[row.index(published) + 1])
        assert measured == pytest.approx(100 * metrics[metric]["mean"], abs=0.51)
    for said in (CITED, *CAVEATS, "mixed batches"):
        assert said in words(text)


def test_published_numbers_on_the_page(i2awa: Plan) -> None:
    results = section(render_page(i2awa), "results")
    assert "share of pictures published other" in results
    assert "88.02 69.7 77.7" in results
    for said in (CITED, *CAVEATS, "Measured here: the last step"):
        assert said in results


def test_published_numbers_go_into_the_reports(i2awa: Plan) -> None:
    write_page(i2awa)
    publish(i2awa)
    assert len(read_literature(i2awa.reports / "tables/literature.csv")) == 3
    assert printed(i2awa.reports) == printed(i2awa)
    # Reports from before there was such a table.
    (i2awa.reports / "tables/literature.csv").unlink()
    assert "Published" not in printed(i2awa.reports)


def test_no_such_column_for_any_other_problem(
    make_results: Callable[..., Plan], tmp_path: Path, plan: Plan
) -> None:
    others = {**I2AWA, "unknown": ("beaver", *I2AWA["unknown"][1:])}
    task = {**I2AWA, "task": "folder"}
    without = {**I2AWA, "methods": ("zero_shot", "sre_clip")}
    made = [
        make_results(tmp_path / str(at), **changes)
        for at, changes in enumerate((others, task, without))
    ]
    for other in [plan, *made]:
        assert read_literature(other.comparison["literature.csv"]) == []
        assert render_literature(other) is None
        assert "published" not in section(render_page(other), "results").lower()


@pytest.fixture(scope="module")
def reference(make_results: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return make_results(
        tmp_path_factory.mktemp("reference"),
        per_class=3,
        steps=4,
        evaluate={"protocol": "reference"},
    )


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


def test_and_on_the_page(reference: Plan, page: str) -> None:
    text = render_page(reference)
    head = words(Parsed(text[: text.index('<div class="columns">')]).text)
    assert "Not results. Evaluated the authors' way" in head
    assert WARNING in head
    assert "without training on target labels" in head
    assert WARNING in section(text, "results")
    assert "is not tested" in section(text, "differences")
    assert "scored the authors' way" in section(text, "made")
    assert "Target labels were read by the evaluation alone" not in section(text, "made")
    # And nothing of it by default.
    assert WARNING not in page
    assert "scored at its last step" in section(page, "made")


def test_and_in_every_file_of_numbers(reference: Plan) -> None:
    folder = reference.comparison.path
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["protocol"]["name"] == "reference"
    assert WARNING in metrics["protocol"]["warning"]
    for name in reference.params.methods.run:
        found = json.loads((reference.evaluation(name)["evaluation.json"]).read_text())
        assert WARNING in found["protocol"]["warning"]
    rows = (folder / "results.csv").read_text().splitlines()
    assert rows[0].split(",")[:3] == ["method", "selection", "protocol"]
    assert {row.split(",")[2] for row in rows[1:]} == {"reference"}
    # Numbers that are no results are not tested against each other.
    assert len((folder / "significance.csv").read_text().splitlines()) == 1
