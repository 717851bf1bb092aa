"""ADAPT against a plain loop over its equations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from sreclip.methods.logits import Block
from sreclip.refinement.adapt import adapt
from sreclip.refinement.candidates import Candidates

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def candidates_of(logits: torch.Tensor, most: int = 64) -> Candidates:
    n, classes = logits.shape
    block = Block(torch.arange(n), torch.arange(classes), logits)
    return Candidates.from_blocks([block], n, classes, most)


def plain(f: np.ndarray, w: np.ndarray, logits: np.ndarray, t: float) -> np.ndarray:
    p, classes, dim = softmax(logits, axis=1), w.shape[0], f.shape[1]
    predicted = p.argmax(axis=1)
    bank = []
    for c in range(classes):
        members = np.flatnonzero(predicted == c)
        bank += members[np.argsort(entropy(p[members], axis=1))[:6]].tolist()
    m = len(bank)
    mu = np.zeros((classes, dim))
    for c in range(classes):
        mass = p[bank, c].sum() + p[:, c].sum()
        mean = (p[bank, c] @ f[bank] + p[:, c] @ f) / mass
        mu[c] = 0.9 * mean + 0.1 * w[c]
    away = f[bank] - mu[predicted[bank]]
    s = away.T @ away / (m - 1)
    precision = dim * np.linalg.pinv((m - 1) * s + np.trace(s) * np.eye(dim))
    scores = f @ precision @ mu.T - 0.5 * np.diag(mu @ precision @ mu.T)
    return log_softmax(np.log(p) + log_softmax(scores, axis=1) / t, axis=1)


@pytest.mark.parametrize("t", [1.0, 0.5])
def test_against_the_equations(t: float, planted: Planted) -> None:
    features, centres = planted(100)
    logits = 8 * features @ centres.T
    candidates = candidates_of(logits)
    found = adapt(features, centres, candidates, temperature=t)(features, candidates)
    expected = plain(features.numpy(), centres.numpy(), logits.numpy(), t)
    np.testing.assert_allclose(found.log_p.numpy(), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("most", [64, 3])
def test_pieces_change_nothing(most: int, planted: Planted, request: pytest.FixtureRequest) -> None:
    features, centres = planted(60, 6)
    candidates = candidates_of(8 * features @ centres.T, most)
    whole = adapt(features, centres, candidates)(features, candidates)
    request.getfixturevalue("small_pieces")
    pieces = adapt(features, centres, candidates)(features, candidates)
    torch.testing.assert_close(pieces.log_p, whole.log_p)


def test_a_class_that_no_image_is_predicted_as(planted: Planted) -> None:
    features, centres = planted(40)
    logits = 8 * features @ centres.T
    logits[:, 2] = -1e4
    candidates = candidates_of(logits)
    state = adapt(features, centres, candidates)
    assert torch.isfinite(state.vectors).all()
    assert torch.isfinite(state(features, candidates).log_p[:, [0, 1, 3]]).all()
