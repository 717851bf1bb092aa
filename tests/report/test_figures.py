"""Figures, against numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plotly.graph_objects import Figure

from sreclip.config.models import ColourSettings
from sreclip.errors import StoreError
from sreclip.evaluate.stored import Evaluation
from sreclip.report import figures
from sreclip.report.block import Block, View
from sreclip.report.class_groups import ClassGroup
from sreclip.report.curves import MOST_POINTS, over_seeds, read_history, training_figures
from sreclip.report.matrix import MOST_CLASSES, group_figure, matrix_figure

COLOURS = ColourSettings().model_dump()


def entries(table: Any) -> list[tuple[int, int, int]]:
    """The cells of a confusion table that are not 0."""
    counts = np.array(table)
    return [(int(a), int(p), int(counts[a, p])) for a, p in np.argwhere(counts)]


def result(**changes: Any) -> Evaluation:
    """Three classes, the second of them unknown."""
    made = Evaluation(
        method="sre_clip",
        title="SRE-CLIP",
        citation="",
        transductive=True,
        selection="last",
        metrics={
            "known": {"mean": 0.5, "sd": 0.1, "low": 0.4, "high": 0.6, "n": 2},
            "unknown": {"mean": 0.25, "sd": 0.0, "low": 0.25, "high": 0.25, "n": 2},
            "h": {"mean": 0.333, "sd": 0.1, "low": 0.3, "high": 0.366, "n": 2},
            "ausuc": {"mean": 0.2, "sd": 0.01, "low": 0.19, "high": 0.21, "n": 2},
        },
        curve={"known": [0.0, 0.5, 0.75, 1.0], "unknown": [0.5, 0.25, 0.0, 0.0]},
        classes=["cat", "owl", "<b>x</b> & y"],
        known=np.array([True, False, True]),
        class_accuracy=[0.5, 0.25, None],
        confusion=entries([[2, 1, 0, 1], [1, 1, 2, 0], [0, 0, 0, 0]]),
        seeds=[0, 1],
        n_images=4,
        n_unlabelled=0,
        n_none=0,
        predicted={},
        n_rejected=1,
        baseline=False,
        settings={},
        protocol={"name": "ours"},
        runs=[],
        key="",
        candidate=0,
    )
    return dataclasses.replace(made, **changes)


def test_bars_hold_means_and_half_widths() -> None:
    known, unknown, h = figures.bars_figure([result()], COLOURS).data
    assert list(known.x) == [50.0]
    assert list(known.error_x.array) == [10.0]
    assert known.marker.color == COLOURS["known"]
    assert list(unknown.x) == [25.0]
    assert unknown.marker.pattern.shape == "/"
    assert list(unknown.error_x.array) == [0.0]
    assert not unknown.error_x.visible
    assert list(h.x) == [33.3]


def test_bars_leave_out_what_is_not_defined() -> None:
    only_known = result(metrics={"known": {"mean": 0.5, "n": 1}})
    figure = figures.bars_figure([only_known], COLOURS)
    assert [trace.name for trace in figure.data] == ["known"]
    assert not figure.data[0].error_x.visible


def test_curve_ends_where_it_reaches_zero_and_has_a_marker() -> None:
    line, marker, best = figures.curve_figure([result()]).data
    assert list(line.x) == [0.0, 50.0, 75.0]
    assert list(line.y) == [50.0, 25.0, 0.0]
    assert line.name == "SRE-CLIP (AUSUC 20.0 ± 1.0)"
    assert (list(marker.x), list(marker.y)) == ([50.0], [25.0])
    assert (list(best.x), list(best.y)) == ([50.0], [25.0])
    assert best.marker.symbol == "circle-open"


def test_the_best_point_has_the_highest_harmonic_mean() -> None:
    known, unknown = np.array([0.0, 0.3, 0.5, 0.8]), np.array([0.9, 0.8, 0.5, 0.1])
    # Harmonic means 0, 0.436, 0.5, 0.178.
    assert figures.best_point(known, unknown) == 2
    assert figures.best_point(np.zeros(3), unknown[:3]) is None


def test_a_curve_without_a_best_point_has_no_hollow_marker() -> None:
    flat = {"known": [0.0, 0.5], "unknown": [0.0, 0.0]}
    assert len(figures.curve_figure([result(curve=flat)]).data) == 2


def test_a_curve_of_zeros_is_a_point() -> None:
    known, unknown = figures.trimmed_curve({"known": [0.0, 0.5], "unknown": [0.0, 0.0]})
    assert (known.tolist(), unknown.tolist()) == ([0.0], [0.0])


def test_many_methods_are_told_apart() -> None:
    results = [result(method=f"m{i}") for i in range(2 * len(figures.METHOD_COLOURS))]
    styles = [figures.method_style(one, results) for one in results]
    assert len(set(styles)) == len(styles)


def test_matrix_rows_are_percent_with_unknown_classes_last() -> None:
    figure, left_out = matrix_figure(result(), COLOURS)
    assert left_out == 0
    (heat,) = figure.data
    # Order: cat, the class without images, owl; then the rejected column.
    assert [list(row) for row in heat.z] == [
        [50.0, 0.0, 25.0, 25.0],
        [None, None, None, None],
        [25.0, 50.0, 25.0, 0.0],
    ]
    ticks = figure.layout.xaxis.ticktext
    assert ticks[0] == "cat"
    assert ticks[1] == "&lt;b&gt;x&lt;/b&gt; &amp; y"
    assert ticks[2].endswith("owl")
    assert "○" in ticks[2]
    assert "rejected" in ticks[3]


def test_matrix_without_rejects_is_square() -> None:
    figure, _ = matrix_figure(result(confusion=entries(np.eye(3, 4, dtype=int))), COLOURS)
    assert [len(row) for row in figure.data[0].z] == [3, 3, 3]


def test_a_large_matrix_keeps_the_classes_with_most_mistakes() -> None:
    n = MOST_CLASSES + 40
    counts = np.zeros((n, n + 1), dtype=int)
    counts[np.arange(n), np.arange(n)] = 5
    counts[n - 1, 0] = 3
    figure, left_out = matrix_figure(
        result(
            classes=[f"c{i}" for i in range(n)], known=np.ones(n, bool), confusion=entries(counts)
        ),
        COLOURS,
    )
    assert left_out == 40
    assert {"c0", f"c{n - 1}"} <= set(figure.layout.yaxis.ticktext)


def test_groups_hold_all_images() -> None:
    counts = np.array([[3, 1, 0, 1], [0, 2, 0, 0], [1, 0, 4, 2]])
    groups = [ClassGroup("one", [0, 2]), ClassGroup("other", [1])]
    figure = group_figure(result(confusion=entries(counts)), groups)
    (heat,) = figure.data
    # Of 12 images of the first group 8 stay in it, 1 goes to the second, 3 were rejected.
    assert [list(row) for row in heat.z] == [[66.7, 8.3, 25.0], [0.0, 100.0, 0.0]]
    assert list(figure.layout.yaxis.ticktext) == ["one (2)", "other (1)"]
    assert list(map(list, figure.layout.meta["groups"])) == [[0, 2], [1]]


def history(*rows: tuple[int, int, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["seed", "step", "term", "value"])


def test_training_means_and_range_over_seeds() -> None:
    found = history(
        (0, 1, "source", 1.0),
        (0, 2, "source", 0.5),
        (0, 2, "late", 4.0),
        (1, 1, "source", 3.0),
        (1, 2, "source", 1.5),
        (1, 2, "late", 4.0),
    )
    step, mean, low, high = over_seeds(found[found["term"] == "source"])
    assert step.tolist() == [1, 2]
    assert mean.tolist() == [2.0, 1.0]
    assert low.tolist() == [1.0, 0.5]
    assert high.tolist() == [3.0, 1.5]
    drawn = training_figures(found, "red")
    assert list(drawn) == ["source", "late"]
    # The seeds agree on the late term: there is no band to draw.
    assert [len(figure.data) for figure in drawn.values()] == [2, 1]


def test_long_training_is_averaged_in_blocks() -> None:
    n = 10 * MOST_POINTS
    step, mean, _, _ = over_seeds(history(*((0, i + 1, "a", float(i % 10)) for i in range(n))))
    assert len(step) == MOST_POINTS
    assert mean.tolist() == [4.5] * MOST_POINTS
    assert step[0] == 5.5


@pytest.mark.parametrize(
    "text", [None, "method,seed\na,0\n", "method,seed,step,term,value\na,0,1,b,x\n"]
)
def test_a_damaged_history_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "history.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StoreError, match=r"history\.csv"):
        read_history(path)


def test_long_names_are_cut_and_escaped() -> None:
    assert figures.label("a_b") == "a b"
    assert figures.label("<i>") == "&lt;i&gt;"
    assert len(figures.label("x" * 99)) == figures.LONGEST_LABEL


def test_whiskers_stay_above_zero() -> None:
    wide = {"mean": 0.01, "sd": 0.1, "low": -0.02, "high": 0.04, "n": 3}
    (bar,) = figures.bars_figure([result(metrics={"known": wide})], COLOURS).data
    assert list(bar.error_x.array) == [3.0]
    assert list(bar.error_x.arrayminus) == [1.0]


def test_no_name_ends_the_element_of_a_figure() -> None:
    block = Block("x", views=[View("", [("</script><!--&", Figure())])])
    assert not set("<>&") & set(block.json)
    assert json.loads(block.json)[0][0]["title"] == "</script><!--&"
