"""Metrics against values worked out by hand, by brute force and by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from sreclip.evaluate import metrics
from sreclip.evaluate.accuracy import harmonic_mean, predictions
from sreclip.methods.logits import Block, collect
from sreclip.methods.scores import ImageScores

KNOWN = np.array([True, True, False, False])


def scores(logits: np.ndarray, known: np.ndarray = KNOWN) -> ImageScores:
    block = Block(torch.arange(len(logits)), torch.arange(len(known)), torch.from_numpy(logits))
    return collect([block], len(logits), torch.from_numpy(known))


@st.composite
def runs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n = draw(st.integers(4, 40))
    labels = np.concatenate([np.arange(4), rng.integers(0, 4, n - 4)])
    # Few distinct values, so that ties happen.
    logits = rng.integers(0, draw(st.sampled_from([3, 1000])), (n, 4)).astype(float)
    return logits, rng.uniform(size=n) > 0.1, labels


def test_accuracies_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 2, 2])
    predicted = [0, 0, 1, 1, 2, 0]
    logits = np.eye(4)[predicted] * 5
    values = metrics.run_metrics(scores(logits), np.ones(6, bool), labels, KNOWN, 10)
    assert values["known"] == pytest.approx((2 / 3 + 1) / 2)
    assert values["known_micro"] == pytest.approx(3 / 4)
    assert values["unknown"] == pytest.approx(1 / 2)
    assert values["all"] == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert values["all_micro"] == pytest.approx(4 / 6)
    assert values["h"] == pytest.approx(2 * (5 / 6) * 0.5 / (5 / 6 + 0.5))
    assert values["h_micro"] == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    # Among the unknown classes the second image of class 2 has a tie, which goes to class 2.
    assert values["zsl"] == 1


def test_rejected_images_are_wrong() -> None:
    labels = np.array([0, 1, 2])
    ok = np.array([True, False, False])
    values = metrics.run_metrics(scores(np.eye(4)[[0, 1, 2]]), ok, labels, KNOWN, 10)
    assert values["known"] == 0.5
    assert values["unknown"] == 0
    assert values["zsl"] == 0
    assert values["h"] == 0


def test_without_unknown_images_their_metrics_are_absent() -> None:
    values = metrics.run_metrics(
        scores(np.eye(4)[[0, 1]]), np.ones(2, bool), np.array([0, 1]), KNOWN, 5
    )
    assert set(metrics.METRICS) - set(values) == {
        "unknown",
        "unknown_micro",
        "h",
        "h_micro",
        "zsl",
        "top5",
        "ausuc",
        "h_oracle",
    }


@given(runs())
def test_against_scikit_learn(run: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, ok, labels = run
    values = metrics.run_metrics(scores(logits), ok, labels, KNOWN, 15)
    predicted = predictions(scores(logits), ok)
    right = np.where(predicted == labels, labels, 4)
    per_class = [np.mean(right[labels == c] == c) for c in range(4)]
    assert values["all"] == pytest.approx(np.mean(per_class))
    if ok.all():
        assert values["all"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert values["macro_f1"] == pytest.approx(
        f1_score(labels, predicted, labels=range(4), average="macro", zero_division=0)
    )


@given(runs())
def test_curve_against_brute_force(run: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, ok, labels = run
    known, unknown = metrics.known_unknown_curve(scores(logits), ok, labels, KNOWN)
    margins = np.where(ok, logits[:, KNOWN].max(axis=1) - logits[:, ~KNOWN].max(axis=1), 0.0)
    thresholds = np.unique(margins)[::-1]
    for step, bias in enumerate([np.inf, *(thresholds - 1e-6)]):
        moved = logits.copy()
        if np.isinf(bias):
            moved[:, KNOWN] = -1e9
        else:
            moved[:, ~KNOWN] += bias
        predicted = np.where(ok, moved.argmax(axis=1), -1)
        right = predicted == labels
        expected_known = np.mean([right[labels == c].mean() for c in (0, 1)])
        expected_unknown = np.mean([right[labels == c].mean() for c in (2, 3)])
        assert known[step] == pytest.approx(expected_known)
        assert unknown[step] == pytest.approx(expected_unknown)
    assert known[0] == 0
    assert unknown[-1] == pytest.approx(0)


def test_area_of_a_perfect_and_of_a_useless_model() -> None:
    labels = np.arange(4)
    perfect = np.eye(4) * 10
    known, unknown = metrics.known_unknown_curve(scores(perfect), np.ones(4, bool), labels, KNOWN)
    assert metrics.area_under(known, unknown) == pytest.approx(1)
    known, unknown = metrics.known_unknown_curve(
        scores(perfect[[1, 0, 3, 2]]), np.ones(4, bool), labels, KNOWN
    )
    assert metrics.area_under(known, unknown) == 0


@given(runs())
def test_oracle_bias_against_brute_force(run: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, ok, labels = run
    values = metrics.run_metrics(scores(logits), ok, labels, KNOWN, 15)
    best = 0.0
    margins = logits[:, KNOWN].max(axis=1) - logits[:, ~KNOWN].max(axis=1)
    for bias in [*(np.unique(np.append(margins, 0.0)) - 1e-6), margins.max() + 1]:
        moved = logits + bias * ~KNOWN
        right = np.where(ok, moved.argmax(axis=1), -1) == labels
        accuracy = [right[labels == c].mean() for c in range(4)]
        h = harmonic_mean(np.mean(accuracy[:2]), np.mean(accuracy[2:]))
        best = max(best, h or 0.0)
    assert values["h_oracle"] == pytest.approx(best)


def test_top_five() -> None:
    known = np.array([True] * 4 + [False] * 2)
    logits = np.tile(np.arange(6.0), (3, 1))
    values = metrics.run_metrics(
        scores(logits, known), np.array([True, True, False]), np.array([0, 1, 2]), known, 15
    )
    assert values["top5"] == pytest.approx(1 / 3)


def test_calibration_by_hand() -> None:
    # Two classes; confidences 0.9, 0.9, 0.6 and right, wrong, right.
    logits = np.log(np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]]))
    value = metrics.calibration_error(
        scores(logits, np.array([True, False])), np.array([0, 1, 0]), 10
    )
    assert value == pytest.approx((2 * abs(0.5 - 0.9) + abs(1 - 0.6)) / 3)


def test_calibration_keeps_the_last_bins_apart() -> None:
    # Confidences 1, 0.95 and 0.85: the first two share the last bin; right, wrong, right.
    logits = np.array([[1000.0, 0.0], [np.log(0.95 / 0.05), 0.0], [np.log(0.85 / 0.15), 0.0]])
    value = metrics.calibration_error(
        scores(logits, np.array([True, False])), np.array([0, 1, 0]), 10
    )
    assert value == pytest.approx((abs(1 - 1.95) + abs(1 - 0.85)) / 3)


def test_harmonic_mean() -> None:
    assert harmonic_mean(0.5, 1.0) == pytest.approx(2 / 3)
    assert harmonic_mean(0.0, 0.0) == 0
    assert harmonic_mean(None, 1.0) is None
