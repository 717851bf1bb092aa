"""Which methods are compared with what, and the table of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from sreclip.errors import StoreError
from sreclip.evaluate.comparison import compare_methods
from sreclip.evaluate.significance import (
    COLUMNS,
    SIGNIFICANCE,
    Comparison,
    best_baseline,
    compare_pairs,
    pairs,
    read_significance,
)
from sreclip.evaluate.statistics import holm
from sreclip.evaluate.stored import read_evaluations
from sreclip.plan.plan import Plan


def evaluation(method: str, baseline: bool = True, **means: float) -> Any:
    metrics = {name: {"mean": mean, "n": 1} for name, mean in means.items()}
    return SimpleNamespace(method=method, baseline=baseline, metrics=metrics)


def test_the_best_baseline_has_the_highest_h() -> None:
    found = [
        evaluation("zero_shot", known=0.9, h=0.9),
        evaluation("taskres", known=0.6, h=0.5),
        evaluation("transclip", known=0.5, h=0.6),
        evaluation("sre_clip", baseline=False, known=0.8, h=0.8),
    ]
    assert best_baseline(found) == "transclip"
    assert pairs(found) == {
        ("zero_shot", "zero_shot"): ["taskres", "transclip", "sre_clip"],
        ("transclip", "best_baseline"): ["taskres", "sre_clip"],
    }


def test_without_h_what_is_left_decides() -> None:
    known = [evaluation("taskres", known=0.6), evaluation("transclip", known=0.5)]
    assert best_baseline(known) == "taskres"
    unknown = [evaluation("taskres", unknown=0.6), evaluation("transclip", unknown=0.7)]
    assert best_baseline(unknown) == "transclip"
    assert best_baseline([evaluation("zero_shot", h=0.5)]) is None
    assert best_baseline([evaluation("sre_clip", baseline=False, h=0.5)]) is None


def test_references_that_nothing_is_compared_with_are_left_out() -> None:
    assert pairs([evaluation("zero_shot", h=0.5)]) == {}
    assert pairs([evaluation("taskres", h=0.5)]) == {}
    assert pairs([evaluation("zero_shot", h=0.5), evaluation("taskres", h=0.5)]) == {
        ("zero_shot", "zero_shot"): ["taskres"]
    }


def test_the_table_of_a_run(plan: Plan) -> None:
    with (plan.comparison[SIGNIFICANCE]).open(newline="") as handle:
        reader = csv.DictReader(handle)
        assert tuple(reader.fieldnames or ()) == COLUMNS
    rows = read_significance(plan.comparison[SIGNIFICANCE])
    assert [(row.reference, row.method, row.metric) for row in rows] == [
        ("zero_shot", "clip_adapter", "known"),
        ("zero_shot", "sre_clip", "known"),
        ("zero_shot", "clip_adapter", "unknown"),
        ("zero_shot", "sre_clip", "unknown"),
        ("zero_shot", "clip_adapter", "h"),
        ("zero_shot", "sre_clip", "h"),
        ("clip_adapter", "sre_clip", "known"),
        ("clip_adapter", "sre_clip", "unknown"),
        ("clip_adapter", "sre_clip", "h"),
    ]
    metrics = {e.method: e.metrics for e in read_evaluations(plan.comparison.inputs)}
    for row in rows:
        means = [metrics[name][row.metric]["mean"] for name in (row.method, row.reference)]
        assert row.difference == pytest.approx(means[0] - means[1], abs=1e-12)
        assert row.low is not None
        assert row.high is not None
        assert row.low <= row.difference <= row.high
        assert row.p_holm >= row.p
    families = [rows[:2], rows[2:4], rows[4:6], rows[6:7]]
    for family in families:
        assert [row.p_holm for row in family] == holm([row.p for row in family])


def test_rows_survive_the_file(plan: Plan) -> None:
    results = plan.comparison.inputs
    rows = compare_pairs(
        results, read_evaluations(results), resamples=2000, seed=0, confidence=0.95
    )
    assert rows == read_significance(plan.comparison[SIGNIFICANCE])


def test_marks() -> None:
    row = Comparison("zero_shot", "zero_shot", "taskres", "h", 0.1, 0.05, 0.2, 0.01, 0.04)
    assert row.mark(0.95) == "better"
    assert row.mark(0.99) == ""
    worse = Comparison("zero_shot", "zero_shot", "taskres", "h", -0.1, None, None, 0.01, 0.04)
    assert worse.mark(0.95) == "worse"


@pytest.mark.parametrize(
    "changes",
    [
        {"evaluate": {"bootstrap": 0}},
        {"methods": ("zero_shot",)},
        {"methods": ("sre_clip",)},
    ],
)
def test_without_pairs_or_resamples_there_is_a_header_alone(
    make_results: Callable[..., Plan], tmp_path: Path, changes: dict[str, Any]
) -> None:
    plan = make_results(tmp_path, per_class=2, steps=2, **changes)
    text = (plan.comparison[SIGNIFICANCE]).read_text()
    assert text == ",".join(COLUMNS) + "\n"
    assert read_significance(plan.comparison[SIGNIFICANCE]) == []


def test_without_zero_shot_and_unknown_images(
    make_results: Callable[..., Plan], tmp_path: Path
) -> None:
    plan = make_results(
        tmp_path, methods=("clip_adapter", "sre_clip"), only_known_targets=True, steps=2
    )
    (row,) = read_significance(plan.comparison[SIGNIFICANCE])
    assert (row.reference, row.reference_kind) == ("clip_adapter", "best_baseline")
    assert (row.method, row.metric) == ("sre_clip", "known")


def test_one_image_per_class_has_no_interval(
    make_results: Callable[..., Plan], tmp_path: Path
) -> None:
    plan = make_results(tmp_path, per_class=1, steps=2, n_broken=0)
    rows = read_significance(plan.comparison[SIGNIFICANCE])
    assert rows
    assert all((row.low, row.high) == (None, None) for row in rows)


def test_methods_may_have_different_numbers_of_seeds(
    make_results: Callable[..., Plan], tmp_path: Path
) -> None:
    plan = make_results(tmp_path, per_class=4, steps=2)
    path = plan.evaluation("zero_shot")["evaluation.json"]
    value = json.loads(path.read_text())
    path.write_text(json.dumps(value | {"seeds": value["seeds"][:1]}))
    predictions = path.with_name("predictions.parquet")
    frame = pd.read_parquet(predictions).drop(columns=["predicted_seed_1", "predicted_seed_2"])
    frame.to_parquet(predictions, index=False)
    compare_methods(plan)
    assert len(read_significance(plan.comparison[SIGNIFICANCE])) == 9


def test_another_number_of_resamples_evaluates_nothing_again(plan: Plan) -> None:
    evaluate = plan.params.evaluate.model_copy(update={"bootstrap": 10})
    other = Plan(plan.params.model_copy(update={"evaluate": evaluate}), plan.folder)
    assert other.evaluation("sre_clip").key == plan.evaluation("sre_clip").key
    assert other.comparison.key != plan.comparison.key


def test_predictions_of_other_images_are_refused(
    make_results: Callable[..., Plan], tmp_path: Path
) -> None:
    plan = make_results(tmp_path, per_class=2, steps=2)
    path = plan.evaluation("sre_clip")["predictions.parquet"]
    pd.read_parquet(path).iloc[::-1].to_parquet(path, index=False)
    with pytest.raises(StoreError, match="not those of the other methods"):
        compare_methods(plan)
    path.write_bytes(b"no table")
    with pytest.raises(StoreError, match=r"predictions\.parquet cannot be read"):
        compare_methods(plan)
    path.unlink()
    with pytest.raises(StoreError, match=r"predictions\.parquet is missing"):
        compare_methods(plan)


@pytest.mark.parametrize("text", ["reference\nzero_shot\n", ",".join(COLUMNS) + "\na,b,c,d,x\n"])
def test_a_damaged_table_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(StoreError, match="is missing"):
        read_significance(tmp_path / SIGNIFICANCE)
    (tmp_path / SIGNIFICANCE).write_text(text)
    with pytest.raises(StoreError, match="no table of differences"):
        read_significance(tmp_path / SIGNIFICANCE)


def test_results_name_the_rule_of_selection(plan: Plan) -> None:
    frame = pd.read_csv(plan.comparison["results.csv"])
    assert set(frame["selection"]) == {"last"}
