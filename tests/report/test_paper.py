"""Tables for papers, and which numbers of them are bold."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sreclip.errors import ConfigError, DataError
from sreclip.evaluate.leaders import leaders
from sreclip.evaluate.stored import read_evaluations
from sreclip.plan.plan import Plan
from sreclip.report.paper import results_table
from tests.report.conftest import CLASSES


def led(plan: Plan, resamples: int = 500) -> dict[str, set[str]]:
    return leaders(
        plan.comparison.inputs,
        read_evaluations(plan.comparison.inputs),
        resamples=resamples,
        seed=0,
        confidence=0.95,
    )


def test_clear_leaders_stand_alone(plan: Plan) -> None:
    found = led(plan)
    means = {
        each.method: each.metrics["h"]["mean"] for each in read_evaluations(plan.comparison.inputs)
    }
    best = max(means, key=means.__getitem__)
    assert best in found["h"]
    # The made-up methods differ by far.
    assert "zero_shot" not in found["h"]
    assert set(found) == {"known", "unknown", "h"}


def test_equal_methods_lead_together(make_results: Callable[..., Plan], tmp_path: Path) -> None:
    plan = make_results(tmp_path, methods=("zero_shot", "sre_clip"))
    scores = plan.evaluation("sre_clip")["predictions.parquet"]
    other = plan.evaluation("zero_shot")["predictions.parquet"]
    pd.read_parquet(scores).to_parquet(other, index=False)
    assert all(names == {"zero_shot", "sre_clip"} for names in led(plan).values())


def test_nothing_leads_without_resamples(plan: Plan) -> None:
    assert led(plan, resamples=0) == {}


def test_markdown_and_csv_have_the_numbers(plan: Plan) -> None:
    lines = results_table(plan, "markdown", ["known", "h"]).splitlines()
    assert lines[:2] == ["| Method | Known | H |", "| --- | ---: | ---: |"]
    assert lines[4].startswith("| SRE-CLIP |")
    assert "**" in lines[4]
    assert "3 seeds; bold: the best and what is not clearly below it" in lines[-1]
    rows = list(csv.DictReader(io.StringIO(results_table(plan, "csv", ["h", "ausuc"]))))
    evaluation = read_evaluations(plan.comparison.inputs)[-1]
    own = {row["metric"]: row for row in rows if row["method"] == "sre_clip"}
    assert float(own["h"]["mean"]) == evaluation.metrics["h"]["mean"]
    assert float(own["h"]["low"]) == evaluation.metrics["h"]["low"]
    assert (own["h"]["leads"], own["ausuc"]["leads"]) == ("true", "")
    assert np.unique([row["seeds"] for row in rows]).tolist() == ["3"]


def test_latex_is_a_table(plan: Plan, tmp_path: Path) -> None:
    text = results_table(plan, "latex")
    assert text.count(r"\begin{tabular}{lrrr}") == text.count(r"\end{tabular}") == 1
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert [line.count("&") for line in body] == [3] * 4
    assert r"\textbf{" in body[-1]
    assert r"$\pm$" in body[-1]
    assert text.startswith("% folder, ")


def test_what_cannot_be_tabulated_is_said(
    plan: Plan, make_results: Callable[..., Plan], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="metric 'hh' is not registered"):
        results_table(plan, "csv", ["hh"])
    bare = make_results(tmp_path, labelled=dict.fromkeys(CLASSES, 0))
    with pytest.raises(DataError, match="no accuracy to tabulate"):
        results_table(bare, "csv")
