"""The order in which images are labelled."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from sreclip.findings.labelling import labelling_order


@pytest.mark.parametrize("n", [0, 1, 2, 19, 500])
def test_each_image_comes_once(n: int) -> None:
    rng = np.random.default_rng(n)
    order = list(labelling_order(rng.integers(3, size=n), rng.random(n)))
    assert sorted(order) == list(range(n))


@pytest.mark.parametrize("seed", range(5))
def test_the_first_have_classes_in_proportion_sure_and_unsure(seed: int) -> None:
    predicted = np.repeat([0, 1, 2], [600, 300, 100])
    confidence = np.tile(np.linspace(0, 1, 100), 10)
    first = list(islice(labelling_order(predicted, confidence, seed), 20))
    counts = np.bincount(predicted[first], minlength=3)
    assert np.abs(counts - [12, 6, 2]).max() <= 1
    of_largest = confidence[first][predicted[first] == 0]
    assert of_largest.min() < 0.2
    assert of_largest.max() > 0.8


def test_every_image_has_the_same_chance_to_be_among_the_first() -> None:
    """So that a fraction of them estimates that of all without bias, here of half of a class."""
    n, rounds = 200, 400
    rng = np.random.default_rng(0)
    predicted, confidence = rng.integers(4, size=n), rng.random(n)
    right = rng.random(n) < confidence
    chosen = np.zeros(n)
    estimates = []
    for seed in range(rounds):
        first = list(islice(labelling_order(predicted, confidence, seed), 20))
        chosen[first] += 1
        estimates.append(right[first].mean())
    assert chosen.sum() == 20 * rounds
    assert chosen.min() > 0.5 * chosen.mean()
    assert np.mean(estimates) == pytest.approx(right.mean(), abs=0.01)
    # Random images of the same number: the standard deviation of sampling without replacement.
    random_sd = np.sqrt(right.mean() * (1 - right.mean()) / 20 * (n - 20) / (n - 1))
    assert np.std(estimates) < random_sd
