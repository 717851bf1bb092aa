"""Accuracies and gains by class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sreclip.report.gains import (
    MOST_BARS,
    Marker,
    accuracy_figure,
    both_ends,
    class_rows,
    gains_block,
    gains_figure,
)
from tests.report.test_figures import COLOURS, entries, result

BASE = result(method="zero_shot", title="Zero-shot", class_accuracy=[0.75, 0.125, None])


def test_gains_are_sorted_differences_of_classes_with_images() -> None:
    rows = class_rows(result(), BASE)
    assert rows["name"].tolist() == ["owl", "cat"]
    assert rows["gain"].tolist() == [0.125, -0.25]
    # Two seeds, and rejected images are of their class, too.
    assert rows["images"].tolist() == [2, 2]
    figure = gains_figure(rows, COLOURS)
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name["unknown class"].x) == [12.5]
    assert list(by_name["known class"].x) == [-25.0]
    owl, cat = figure.layout.yaxis.ticktext
    assert "○" in owl
    assert owl.endswith("owl (2*)")
    assert cat == "cat (2*)"


def drawn(rows: pd.DataFrame) -> dict[str, Any]:
    """The markers of both methods by their titles."""
    markers = [
        Marker("before", "Zero-shot", "red", "x"),
        Marker("after", "SRE-CLIP", "blue", "star"),
    ]
    figure = accuracy_figure(rows, markers, COLOURS)
    return {trace.name: trace for trace in figure.data if trace.showlegend is False} | {
        "ticks": figure.layout.yaxis.ticktext
    }


def test_both_accuracies_stand_in_the_order_of_the_gains() -> None:
    found = drawn(class_rows(result(), BASE))
    assert list(found["Zero-shot"].x) == [12.5, 75.0]
    assert list(found["SRE-CLIP"].x) == [25.0, 50.0]
    assert list(found[None].x) == [12.5, 25.0, None, 75.0, 50.0, None]
    assert list(found["SRE-CLIP"].customdata[0]) == ["owl", " of 2 images"]


def test_classes_of_few_images_are_hollow() -> None:
    counts = entries([[8, 2, 0, 0], [4, 4, 0, 0], [0, 0, 0, 0]])
    found = drawn(class_rows(result(confusion=counts), BASE))
    # Four images of owls, five of cats.
    assert list(found["SRE-CLIP"].marker.symbol) == ["star-open", "star"]
    assert [tick[-4:] for tick in found["ticks"]] == ["(4*)", " (5)"]


def test_without_counts_nothing_is_hollow() -> None:
    found = drawn(class_rows(result(), BASE).drop(columns="images"))
    assert list(found["SRE-CLIP"].marker.symbol) == ["star", "star"]
    assert found["ticks"][1] == "cat"


def test_gains_of_many_classes_show_both_ends() -> None:
    n = 100
    many = {
        "classes": [f"class {i:03d}" for i in range(n)],
        "known": np.ones(n, bool),
        "confusion": entries(np.ones((n, n + 1), int)),
    }
    base = result(method="zero_shot", class_accuracy=[0.0] * n, **many)
    better = result(class_accuracy=[i / n for i in range(n)], **many)
    rows = both_ends(class_rows(better, base))
    assert len(rows) == MOST_BARS
    assert rows["name"].iloc[[0, -1]].tolist() == ["class 099", "class 000"]
    block = gains_block([base, better], COLOURS)
    assert (
        f"{MOST_BARS} classes at both ends are shown, {n - MOST_BARS} in between" in block.caption
    )


def test_without_a_baseline_accuracies_are_shown() -> None:
    alone = gains_block([result()], COLOURS)
    assert "zero_shot is not among the methods" in alone.caption
    ((_, figure),) = alone.views[0].panels
    assert {trace.name for trace in figure.data} == {"SRE-CLIP"}
    assert figure.layout.yaxis.ticktext[0] == "cat (2*)"
    baseline = gains_block([BASE], COLOURS)
    assert "no other method is in this run" in baseline.caption
    assert [panel for panel, _ in baseline.views[0].panels] == ["Accuracy"]
