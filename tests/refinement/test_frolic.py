"""Frolic's debiasing against its equations, with the fixed point as an eigenvector."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from sreclip.methods.logits import Block
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.frolic import frolic

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def candidates_of(logits: torch.Tensor, most: int = 64) -> Candidates:
    n, classes = logits.shape
    block = Block(torch.arange(n), torch.arange(classes), logits)
    return Candidates.from_blocks([block], n, classes, most)


def plain(logits: np.ndarray, rounds: int) -> np.ndarray:
    classes = logits.shape[1]
    log_p = log_softmax(logits, axis=1)
    total = np.zeros(classes)
    for _ in range(rounds):
        p = softmax(log_p, axis=1)
        ordered = np.sort(log_p, axis=1)
        sure = ordered[:, -1] - ordered[:, -2] > 1 / classes
        predicted = p.argmax(axis=1)
        m = np.stack([p[sure & (predicted == k)].mean(axis=0) for k in range(classes)], axis=1)
        values, vectors = np.linalg.eig(m)
        pi = np.real(vectors[:, np.argmax(np.real(values))])
        pi = pi / pi.sum()
        log_p = log_softmax(log_p - np.log(pi), axis=1)
        total -= np.log(pi)
    return total - total.mean()


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_against_the_equations(rounds: int, planted: Planted) -> None:
    features, centres = planted(200)
    logits = 4 * features @ centres.T + torch.linspace(0, 1.5, 4).double()
    found = frolic(candidates_of(logits), rounds).bias.numpy()
    np.testing.assert_allclose(found, plain(logits.numpy(), rounds), atol=1e-5)


def test_a_favoured_class_is_held_back(planted: Planted) -> None:
    features, centres = planted(200)
    logits = 4 * features @ centres.T + torch.tensor([0.0, 0.0, 0.0, 1.5]).double()
    bias = frolic(candidates_of(logits)).bias
    assert bias.argmin() == 3
    labels = torch.arange(200) % 4
    right = ((logits + bias).argmax(dim=1) == labels).double().mean()
    assert right > (logits.argmax(dim=1) == labels).double().mean()


@pytest.mark.parametrize("most", [64, 3])
def test_pieces_change_nothing(most: int, planted: Planted, request: pytest.FixtureRequest) -> None:
    features, centres = planted(60, 6)
    candidates = candidates_of(6 * features @ centres.T, most)
    whole = frolic(candidates).bias
    request.getfixturevalue("small_pieces")
    torch.testing.assert_close(frolic(candidates).bias, whole)


def test_a_class_that_no_image_is_predicted_as(planted: Planted) -> None:
    features, centres = planted(60)
    logits = 6 * features @ centres.T
    logits[:, 1] = -1e4
    assert torch.isfinite(frolic(candidates_of(logits)).bias).all()
