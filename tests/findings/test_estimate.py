"""Accuracy and class sizes by probabilities alone, and the interval of a fraction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from sreclip.findings.estimate import (
    ANY_TWO,
    WITHIN_CLASS,
    class_sizes,
    estimated_accuracy,
    wilson,
)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (19, 25), (25, 25), (7, 300)])
def test_wilson_is_scipys(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right, n, 0.95) == pytest.approx((expected.low, expected.high), abs=1e-12)


def covariance(p: np.ndarray, same_class: np.ndarray, within: float, any_two: float) -> float:
    """Sum a covariance matrix, entry by entry."""
    spread = np.sqrt(p * (1 - p))
    total = 0.0
    for i in range(len(p)):
        for j in range(len(p)):
            share = any_two + (1 - within if i == j else 0) + (within if same_class[i, j] else 0)
            total += share * spread[i] * spread[j]
    return total


def test_the_estimate_is_the_mean_confidence() -> None:
    p, predicted = np.array([0.9, 0.6, 0.55, 0.8, 0.7]), np.array([0, 0, 2, 2, 2])
    same = predicted[:, None] == predicted[None, :]
    found = estimated_accuracy(predicted, p, 3, 0.95)
    assert found is not None
    half = 1.959964 * np.sqrt(covariance(p, same, WITHIN_CLASS, ANY_TWO)) / 5
    assert found.value == pytest.approx(0.71)
    assert found.low == pytest.approx(0.71 - half, abs=1e-6)
    assert found.high == pytest.approx(min(0.71 + half, 1), abs=1e-6)
    assert estimated_accuracy(np.empty(0, np.int64), np.empty(0), 3) is None


def test_class_sizes_are_sums_of_probabilities() -> None:
    """Two of four classes are stored; the rest of each image is spread over the other two."""
    classes = np.array([[0, 1], [2, 0], [0, 3]])
    p = np.array([[0.7, 0.2], [0.5, 0.3], [0.6, 0.3]])
    full = np.array([[0.7, 0.2, 0.05, 0.05], [0.3, 0.1, 0.5, 0.1], [0.6, 0.05, 0.05, 0.3]])
    found = class_sizes(classes, p, 4, 0.9)
    assert found.expected == pytest.approx(full.sum(axis=0))
    all_same = np.ones((3, 3), dtype=bool)
    for label in range(4):
        half = 1.644854 * np.sqrt(covariance(full[:, label], all_same, WITHIN_CLASS, 0))
        assert found.low[label] == pytest.approx(max(full[:, label].sum() - half, 0), abs=1e-6)
        assert found.high[label] == pytest.approx(min(full[:, label].sum() + half, 3), abs=1e-6)


def test_all_classes_may_be_stored() -> None:
    found = class_sizes(np.array([[1, 0], [0, 1]]), np.array([[0.8, 0.2], [0.6, 0.4]]), 2)
    assert found.expected == pytest.approx([0.8, 1.2])
