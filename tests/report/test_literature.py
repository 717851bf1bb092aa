"""Published numbers and the protocol ``reference`` on the page and in the files of numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sreclip.evaluate.literature import read_literature
from sreclip.plan.plan import Plan
from sreclip.report.page import render_page
from sreclip.report.terminal import render_literature
from tests.report.conftest import CAVEATS, CITED, I2AWA, WARNING, words
from tests.report.test_page import Parsed, section


def test_published_numbers_on_the_page(i2awa: Plan) -> None:
    results = section(render_page(i2awa), "results")
    assert "fraction of images published other" in results
    assert "88.02 69.7 77.7" in results
    for said in (CITED, *CAVEATS, "Measured here: the last step"):
        assert said in results


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


def test_the_authors_way_is_warned_of_on_the_page(reference: Plan, page: str) -> None:
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


def test_the_authors_way_is_warned_of_in_every_file_of_numbers(reference: Plan) -> None:
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
    # Such numbers are not compared with each other.
    assert len((folder / "significance.csv").read_text().splitlines()) == 1
