"""The paired permutation test: against an enumeration, its level, and few images."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from sreclip.evaluate.accuracy import harmonic_mean
from sreclip.evaluate.permutation import permutation_p


def metrics(right: np.ndarray, labels: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """Class means of one seed, in a plain loop."""
    found = {}
    for name, side in (("known", known), ("unknown", ~known)):
        accuracies = [
            right[labels == c].mean() for c in np.flatnonzero(side) if (labels == c).any()
        ]
        if accuracies:
            found[name] = float(np.mean(accuracies))
    if len(found) == 2:
        found["h"] = float(harmonic_mean(found["known"], found["unknown"]) or 0.0)
    return found


def over_seeds(runs: np.ndarray, labels: np.ndarray, known: np.ndarray) -> dict[str, float]:
    each = [metrics(run, labels, known) for run in runs]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def test_p_is_that_of_all_permutations() -> None:
    rng = np.random.default_rng(1)
    labels, known = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3]), np.array([True, True, False, False])
    a, b = rng.random((2, 9)) < 0.8, rng.random((2, 9)) < 0.3
    truth = {"known": 0, "unknown": 0, "h": 0}
    of_a, of_b = (over_seeds(each, labels, known) for each in (a, b))
    for swap in product([False, True], repeat=9):
        other = [np.where(swap, x, y) for x, y in ((b, a), (a, b))]
        found = [over_seeds(each, labels, known) for each in other]
        for name in truth:
            least = abs(of_a[name] - of_b[name]) - 1e-12
            truth[name] += abs(found[0][name] - found[1][name]) >= least
    n = 40_000
    p = permutation_p(a, b, labels, known, n, seed=0)
    assert p == pytest.approx({name: hits / 2**9 for name, hits in truth.items()}, abs=0.01)


@pytest.mark.parametrize(("up", "down"), [(3, 0), (5, 1), (12, 2)])
def test_with_one_class_it_is_the_sign_test(up: int, down: int) -> None:
    a = np.array([[True] * up + [False] * down + [True] * 10])
    b = np.array([[False] * up + [True] * down + [True] * 10])
    labels = np.zeros(up + down + 10, dtype=np.int64)
    p = permutation_p(a, b, labels, np.array([True]), 20_000, seed=0)
    assert p == pytest.approx({"known": binomtest(up, up + down).pvalue}, abs=0.01)


def test_three_images_are_no_proof() -> None:
    """Three images of single classes apart, all in favour of one method: p is 1/4, not small."""
    labels = np.arange(8)
    known = labels < 5
    b = np.array([[True, True, False, True, False, True, False, False]])
    a = b.copy()
    a[0, [2, 6, 7]] = True
    p = permutation_p(a, b, labels, known, 20_000, seed=0)
    assert p["h"] == pytest.approx(0.25, abs=0.02)
    assert p["unknown"] == pytest.approx(0.5, abs=0.02)
    assert p["known"] == 1.0


def test_the_same_answers_have_p_1() -> None:
    a = np.random.default_rng(0).random((3, 50)) < 0.5
    p = permutation_p(a, a, np.arange(50) % 5, np.arange(5) < 3, 100, seed=0)
    assert p == {"known": 1.0, "unknown": 1.0, "h": 1.0}


def test_a_clear_difference_has_the_smallest_p() -> None:
    rng = np.random.default_rng(0)
    labels, known = np.repeat(np.arange(10), 40), np.arange(10) < 7
    a, b = rng.random((2, 400)) < 0.8, rng.random((1, 400)) < 0.2
    assert set(permutation_p(a, b, labels, known, 199, seed=0).values()) == {1 / 200}
    assert permutation_p(b, a, labels, known, 199, 0) == permutation_p(a, b, labels, known, 199, 0)


def test_the_seed_draws() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 60)) < 0.6, rng.random((2, 60)) < 0.5
    labels, known = np.arange(60) % 6, np.arange(6) < 4
    one, same, other = (permutation_p(a, b, labels, known, 500, seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other


@pytest.mark.parametrize("per_class", [1, 3, 30])
def test_equally_good_methods_are_rarely_called_different(per_class: int) -> None:
    """At most one in twenty of 300 pairs, with any number of images per class."""
    labels, known = np.repeat(np.arange(20), per_class), np.arange(20) < 14
    called = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        shared = rng.random(len(labels))
        # Alike on 70 % of the images, and right on half of them.
        a, b = (
            np.where(rng.random(len(labels)) < 0.7, shared, rng.random(len(labels)))[None] < 0.5
            for _ in "ab"
        )
        called += permutation_p(a, b, labels, known, 200, seed)["h"] < 0.05
    # 15 expected, standard deviation 3.8; with few images fewer.
    assert called <= 26
