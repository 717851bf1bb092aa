"""Bins of confidence, and the figure that shows them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sreclip.evaluate.stored import read_evaluations
from sreclip.plan.plan import Plan
from sreclip.report.reliability import bins_of, read_bins, reliability_figure


def test_bins_count_labelled_images_that_were_read() -> None:
    rows = pd.DataFrame(
        {
            "label": [0, 1, 2, -1, 0, -2],
            "predicted": [0, 1, 0, 0, -1, 0],
            "confidence": [0.9, 0.3, 0.26, 0.9, 0.0, 1.0],
        }
    )
    confidence, accuracy, counts = bins_of(rows, 4)
    assert confidence == pytest.approx([0.28, 0.9])
    assert accuracy == pytest.approx([0.5, 1.0])
    assert counts.tolist() == [2, 1]


def test_the_gaps_are_those_of_the_ece(plan: Plan) -> None:
    result = read_evaluations(plan.comparison.inputs)[-1]
    confidence, accuracy, counts = read_bins(plan, [result])["sre_clip"]
    # Images that could not be read count as wrong in the ECE, and are in no bin here.
    gap = (counts * np.abs(confidence - accuracy)).sum() / counts.sum()
    assert gap == pytest.approx(result.runs[0]["ece"], abs=0.03)


def test_the_figure_has_a_line_per_method_and_the_diagonal(plan: Plan) -> None:
    results = read_evaluations(plan.comparison.inputs)
    figure = reliability_figure(results, read_bins(plan, results))
    assert [trace.name for trace in figure.data[1:]] == [result.title for result in results]
    for trace, result in zip(figure.data[1:], results, strict=True):
        assert sum(trace.customdata) == result.n_images - result.n_rejected
