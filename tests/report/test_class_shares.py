"""The shares of the classes, believed and true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sreclip.evaluate.stored import read_evaluations, read_predictions
from sreclip.plan.plan import Plan
from sreclip.report.class_shares import (
    MOST_CLASSES,
    ClassCounts,
    choose_classes,
    count_classes,
    shares_block,
    shares_figure,
)
from tests.report.test_figures import COLOURS, result

BASE = result(method="zero_shot", title="Zero-shot")


def counts(own: list[float], other: list[float], true: list[float] | None) -> ClassCounts:
    both = [np.array(own), np.array(other)]
    return ClassCounts([result(), BASE], both, both, None if true is None else np.array(true))


def test_counts_are_those_of_the_predictions(plan: Plan) -> None:
    results = read_evaluations(plan.comparison.inputs)
    best = results[-1]
    found = count_classes(plan, results, best)
    assert [each.method for each in found.methods] == ["sre_clip", "zero_shot"]
    rows = read_predictions(plan.evaluation("sre_clip"))
    readable = rows[rows["predicted"] >= 0]
    seeds = [readable[f"predicted_seed_{seed}"] for seed in best.seeds]
    assert found.given[0].tolist() == pytest.approx(
        [np.mean([(seed == c).sum() for seed in seeds]) for c in range(8)]
    )
    assert found.true is not None
    assert found.true.tolist() == [(readable["label"] == c).sum() for c in range(8)]
    # Probabilities of one image add up to one.
    assert [values.sum() for values in found.expected] == pytest.approx([len(readable)] * 2)
    first = readable["confidence"][readable["predicted"] == 0].sum()
    assert found.expected[0][0] >= first


def test_markers_stand_over_bars_of_the_true_shares() -> None:
    found = counts([6, 2, 2], [8, 1, 1], [5, 5, 0])
    figure = shares_figure(found, found.given, [BASE, result()], [0, 1, 2], COLOURS)
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces["true, known class"].x) == [50.0, 0.0]
    assert list(traces["true, unknown class"].x) == [50.0]
    assert list(traces["SRE-CLIP"].x) == [60.0, 20.0, 20.0]
    assert list(traces["Zero-shot"].x) == [80.0, 10.0, 10.0]
    assert list(figure.layout.yaxis2.ticktext) == ["5 → 6", "5 → 2", "0 → 2"]
    assert list(traces["SRE-CLIP"].customdata[1]) == ["owl", "SRE-CLIP", "2"]


def test_few_classes_are_all_shown_the_most_frequent_first() -> None:
    assert choose_classes(counts([1, 2, 3], [1, 1, 1], [2, 9, 1])) == [1, 0, 2]
    assert choose_classes(counts([1, 2, 3], [1, 1, 1], None)) == [2, 1, 0]


def test_of_many_classes_those_that_differ_most_are_shown() -> None:
    n = MOST_CLASSES + 40
    true = np.full(n, 10.0)
    own = true.copy()
    own[-MOST_CLASSES:] += np.arange(1, MOST_CLASSES + 1)
    shown = choose_classes(counts(own.tolist(), true.tolist(), None))
    assert len(shown) == MOST_CLASSES
    assert n - 1 in shown
    apart = np.abs(own / own.sum() - true / true.sum())
    assert min(apart[shown]) >= max(np.delete(apart, shown))


def test_the_caption_says_what_is_left_out(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    results = read_evaluations(plan.comparison.inputs)
    monkeypatch.setattr("sreclip.report.class_shares.MOST_CLASSES", 3)
    block = shares_block(plan, results, results[-1], COLOURS)
    assert "3 of 8 classes whose share by SRE-CLIP is furthest from the true" in block.caption
    assert "; 5 are left out." in block.caption
    assert "63 labelled images, markers those of all 63 readable target images" in block.caption
    assert len(block.views) == 2
    for view in block.views:
        ((_, figure),) = view.panels
        assert len(figure.layout.yaxis.ticktext) == 3


def test_without_labels_there_are_no_bars(
    make_results: Callable[..., Plan], tmp_path: Path
) -> None:
    none = dict.fromkeys(("dog", "cat", "apple", "hammer", "saw", "owl", "pear", "axe"), 0)
    plan = make_results(tmp_path, labelled=none, per_class=3, steps=4, methods=("zero_shot",))
    results = read_evaluations(plan.comparison.inputs)
    block = shares_block(plan, results, results[-1], COLOURS)
    assert "no label says which are true" in block.caption
    ((_, figure),) = block.views[0].panels
    assert {trace.type for trace in figure.data} == {"scatter"}
    assert sum(map(int, figure.layout.yaxis2.ticktext)) == 23


def test_some_labels_are_said_to_be_some(make_results: Callable[..., Plan], tmp_path: Path) -> None:
    plan = make_results(tmp_path, labelled={"dog": 1, "cat": 0}, per_class=3, steps=4)
    results = read_evaluations(plan.comparison.inputs)
    block = shares_block(plan, results, results[-1], COLOURS)
    assert "not chosen at random" in block.caption
    ((_, figure),) = block.views[0].panels
    assert figure.layout.yaxis2.title.text == "images: labelled | SRE-CLIP"
    assert all(" | " in text for text in figure.layout.yaxis2.ticktext)
