"""Intervals and the bootstrap, by hand, against scipy and in simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sreclip.evaluate import statistics
from sreclip.evaluate.accuracy import class_mean, harmonic_mean
from sreclip.evaluate.statistics import Bootstrap, Difference, holm, paired_bootstrap, summarise


def test_against_scipy() -> None:
    values = [0.61, 0.64, 0.58, 0.66, 0.6]
    summary = summarise(values, 0.95)
    low, high = stats.t.interval(0.95, 4, loc=summary["mean"], scale=stats.sem(values))
    assert summary["sd"] == pytest.approx(stats.tstd(values))
    assert (summary["low"], summary["high"]) == pytest.approx((low, high))
    assert summary["n"] == 5


def test_equal_values_have_no_spread() -> None:
    summary = summarise([0.3] * 5, 0.95)
    assert summary["sd"] == 0
    assert summary["low"] == summary["high"] == summary["mean"] == 0.3


def test_one_value_has_no_interval() -> None:
    assert summarise([0.3], 0.95) == {"mean": 0.3, "n": 1}


def random_runs(
    n_images: int = 300, n_classes: int = 6, seed: int = 0
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Three methods with three, two and one seed; two thirds of the classes known."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n_images)
    known = np.arange(n_classes) < 2 * n_classes / 3
    right = {
        name: rng.random((n_seeds, n_images)) < fraction
        for name, n_seeds, fraction in (("good", 3, 0.7), ("middling", 2, 0.5), ("poor", 1, 0.3))
    }
    return right, labels, known


def means_by_hand(right: np.ndarray, labels: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """The metrics' own code, seed by seed."""
    is_known = known[labels]
    found: dict[str, list[float]] = {"known": [], "unknown": [], "h": []}
    for run in right:
        on_known = class_mean(run[is_known], labels[is_known])
        on_unknown = class_mean(run[~is_known], labels[~is_known])
        values = {"known": on_known, "unknown": on_unknown}
        for name, value in (values | {"h": harmonic_mean(on_known, on_unknown)}).items():
            if value is not None:
                found[name].append(value)
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def test_observed_differences_are_those_of_the_metrics() -> None:
    right, labels, known = random_runs()
    bootstrap = paired_bootstrap(right, labels, known, 20, seed=0)
    good, poor = (means_by_hand(right[name], labels, known) for name in ("good", "poor"))
    for metric in ("known", "unknown", "h"):
        difference = bootstrap.difference("good", "poor", metric, 0.95).difference
        assert difference == pytest.approx(good[metric] - poor[metric], abs=1e-12)


def test_resamples_are_those_of_a_plain_loop() -> None:
    right, labels, known = random_runs(60)
    bootstrap = paired_bootstrap(right, labels, known, 15, seed=4)
    rng = np.random.default_rng(4)
    drawn = {}
    for label in np.unique(labels):
        images = np.flatnonzero(labels == label)
        drawn[label] = images[rng.integers(len(images), size=(15, len(images)))]
    for number, (name, table) in product(range(15), right.items()):
        images = np.concatenate([rows[number] for rows in drawn.values()])
        by_hand = means_by_hand(table[:, images], labels[images], known)
        for metric, value in by_hand.items():
            assert bootstrap.resampled[metric][name][number] == pytest.approx(value)


def test_the_interval_is_that_of_scipy() -> None:
    rng = np.random.default_rng(5)
    a, b = (rng.random(200) < fraction for fraction in (0.6, 0.5))
    labels, known = np.zeros(200, dtype=np.int64), np.array([True])
    found = paired_bootstrap({"a": a[None], "b": b[None]}, labels, known, 20_000, seed=0)
    difference = found.difference("a", "b", "known", 0.9)
    theirs = stats.bootstrap(
        (a.astype(float) - b,),
        np.mean,
        confidence_level=0.9,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(6),
    ).confidence_interval
    assert (difference.low, difference.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_pieces_of_another_size_draw_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    right, labels, known = random_runs()
    whole = paired_bootstrap(right, labels, known, 50, seed=0)
    for cells in (1, 130, 1000):
        monkeypatch.setattr(statistics, "CELLS", cells)
        assert_same(paired_bootstrap(right, labels, known, 50, seed=0), whole)


def test_a_pair_does_not_depend_on_what_stands_beside_it() -> None:
    right, labels, known = random_runs()
    pair = {name: right[name] for name in ("poor", "good")}
    both = [paired_bootstrap(methods, labels, known, 50, seed=0) for methods in (right, pair)]
    differences = [found.difference("good", "poor", "h", 0.95) for found in both]
    assert differences[0] == differences[1]


def test_the_seed_draws() -> None:
    right, labels, known = random_runs()
    one, same, other = (paired_bootstrap(right, labels, known, 50, seed) for seed in (1, 1, 2))
    assert_same(one, same)
    assert not np.array_equal(one.resampled["h"]["good"], other.resampled["h"]["good"])


def assert_same(one: Bootstrap, other: Bootstrap) -> None:
    assert one.observed == other.observed
    for metric, methods in one.resampled.items():
        for name, values in methods.items():
            np.testing.assert_array_equal(values, other.resampled[metric][name])


def test_the_same_predictions_differ_by_nothing() -> None:
    right, labels, known = random_runs()
    twice = {"a": right["good"], "b": right["good"][::-1].copy()}
    bootstrap = paired_bootstrap(twice, labels, known, 50, seed=0)
    for metric in ("known", "unknown", "h"):
        assert bootstrap.difference("a", "b", metric, 0.95) == Difference(0.0, None, None)


def test_pairs_are_looked_at_on_the_same_images() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    known = np.array([True, True, False, False])
    a = rng.random(200) < 0.5
    b = a.copy()
    b[:3] = ~a[:3]
    bootstrap = paired_bootstrap({"a": a[None], "b": b[None]}, labels, known, 400, seed=0)
    close = bootstrap.difference("a", "b", "known", 0.95)
    assert close.low is not None
    assert close.high is not None
    assert close.high - close.low < 0.1
    assert np.ptp(bootstrap.resampled["known"]["a"]) > 0.15


@pytest.mark.parametrize("label", [0, 1])
def test_one_image_says_nothing(label: int) -> None:
    right = {"a": np.array([[True]]), "b": np.array([[False]])}
    bootstrap = paired_bootstrap(right, np.array([label]), np.array([True, False]), 100, seed=0)
    metric = ("known", "unknown")[label]
    assert list(bootstrap.observed) == [metric]
    assert bootstrap.difference("a", "b", metric, 0.95) == Difference(1.0, None, None)


def test_a_class_without_a_right_image_does_not_stop_h() -> None:
    labels, known = np.array([0, 0, 1, 1]), np.array([True, False])
    right = {"a": np.zeros((1, 4), dtype=bool), "b": np.ones((1, 4), dtype=bool)}
    bootstrap = paired_bootstrap(right, labels, known, 10, seed=0)
    assert bootstrap.observed["h"] == {"a": 0.0, "b": 1.0}


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1, and never below the one before.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.001, 0.999))
def test_holm_rejects_what_the_procedure_rejects(p: list[float], level: float) -> None:
    adjusted = holm(p)
    rejected = set()
    for step, number in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        # Written as the adjusted values are, so that rounding falls alike.
        if (len(p) - step) * p[number] > level:
            break
        rejected.add(number)
    assert {number for number, value in enumerate(adjusted) if value <= level} == rejected
    assert all(low <= value <= 1 for low, value in zip(p, adjusted, strict=True))
