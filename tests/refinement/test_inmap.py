"""InMaP against a plain loop over its equations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from sreclip.methods.logits import Block, assemble
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.inmap import inmap, pseudo_labels

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]
SCALE = 8.0


def candidates_of(logits: torch.Tensor, most: int = 64) -> Candidates:
    n, classes = logits.shape
    block = Block(torch.arange(n), torch.arange(classes), logits)
    return Candidates.from_blocks([block], n, classes, most)


def plain_labels(logits: np.ndarray, gamma: float, most: int = 64) -> np.ndarray:
    p = softmax(logits, axis=1)
    for row in p:
        row[np.argsort(-row)[most:]] = 0
    n, classes = p.shape
    shares = np.array([p[:, c].sum() ** gamma if p[:, c].any() else 0 for c in range(classes)])
    shares /= shares.sum()
    for _ in range(20):
        for c in range(classes):
            if p[:, c].any():
                p[:, c] *= n * shares[c] / p[:, c].sum()
        for i in range(n):
            p[i] /= p[i].sum()
    for i in range(n):
        if p[i].max() > 0.6:
            p[i] = np.arange(classes) == p[i].argmax()
    return p


def plain(
    f: np.ndarray, w: np.ndarray, labels: np.ndarray, steps: int, scale: float = SCALE
) -> tuple[np.ndarray, list[float], int]:
    """The columns of V as rows, the loss before each step and how often the rate was halved."""
    tau, lr, n = 0.04 * 100 / scale, 10.0, len(f)
    v, last, losses, halved = w.T.copy(), np.inf, [], 0
    for _ in range(steps):
        losses.append(-(labels * log_softmax(f @ v / tau, axis=1)).sum() / n)
        g = f.T @ (softmax(f @ v / tau, axis=1) - labels)
        if np.linalg.norm(g) > last:
            lr, halved = lr / 2, halved + 1
        last = np.linalg.norm(g)
        v = v - lr / (tau * n) * g
        v /= np.linalg.norm(v, axis=0)
    return v.T, losses, halved


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("classes", "noise"), [(12, 0.4), (12, 1.0), (90, 0.6)])
def test_against_the_equations(classes: int, noise: float, gamma: float, planted: Planted) -> None:
    features, text = planted(150, classes, 16, noise=noise)
    logits = SCALE * features @ text.T
    candidates = candidates_of(logits)
    expected = plain_labels(logits.numpy(), gamma)
    rows = torch.arange(150)
    found = candidates.spread(rows, pseudo_labels(candidates, gamma), 0.0).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    losses: list[float] = []
    state = inmap(
        features, text, candidates, SCALE, 60, gamma, lambda *about: losses.append(float(about[2]))
    )
    vectors, losses_expected, _ = plain(features.numpy(), text.numpy(), expected, 60)
    np.testing.assert_allclose(state.vectors.numpy(), vectors, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(losses, losses_expected, rtol=1e-9)
    blocks = state.blocks(features)
    found = assemble(blocks, 150, classes).numpy()
    np.testing.assert_allclose(found, SCALE / 4 * features.numpy() @ vectors.T, rtol=1e-6)


def test_the_rate_is_halved(planted: Planted) -> None:
    features, text = planted(150, 12, 16)
    logits = 100 * features @ text.T
    labels = plain_labels(logits.numpy(), 0.0)
    vectors, _, halved = plain(features.numpy(), text.numpy(), labels, 40, 100)
    assert halved > 1
    state = inmap(features, text, candidates_of(logits), 100, 40)
    np.testing.assert_allclose(state.vectors.numpy(), vectors, rtol=1e-6, atol=1e-8)


def test_a_step_is_down_the_gradient_of_the_cross_entropy(planted: Planted) -> None:
    features, text = planted(80, 12)
    candidates = candidates_of(SCALE * features @ text.T)
    labels = pseudo_labels(candidates)
    vectors = text.clone().requires_grad_()
    logits = SCALE * 0.01 / 0.04 * features @ vectors.T
    torch.nn.functional.cross_entropy(logits, labels).backward()
    assert vectors.grad is not None
    expected = torch.nn.functional.normalize(text - 10 * vectors.grad, dim=1)
    torch.testing.assert_close(inmap(features, text, candidates, SCALE, 1).vectors, expected)


def test_labels_are_balanced_and_sure_ones_are_alone(planted: Planted) -> None:
    features, text = planted(120, 12, noise=0.6)
    candidates = candidates_of(20 * features @ text.T + 2 * torch.linspace(-1, 1, 12))
    labels = pseudo_labels(candidates)
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(120).double())
    sure = labels.amax(dim=1) > 0.6
    assert 0 < sure.sum() < 120
    assert (labels[sure].amax(dim=1) == 1).all()
    given = candidates.log_p.exp().sum(dim=0)
    assert (labels.sum(dim=0) - 10).abs().sum() < (given - 10).abs().sum() / 2


@pytest.mark.parametrize("most", [64, 3])
def test_pieces_change_nothing(most: int, planted: Planted, request: pytest.FixtureRequest) -> None:
    features, text = planted(60, 6)
    candidates = candidates_of(SCALE * features @ text.T, most)
    whole = inmap(features, text, candidates, SCALE, 20)
    request.getfixturevalue("small_pieces")
    pieces = inmap(features, text, candidates, SCALE, 20)
    torch.testing.assert_close(pieces.vectors, whole.vectors)
    assert pieces(features, candidates).log_p.shape == (60, min(most, 6))


def test_no_step_keeps_the_texts(planted: Planted) -> None:
    features, text = planted()
    candidates = candidates_of(SCALE * features @ text.T)
    assert torch.equal(inmap(features, text, candidates, SCALE, 0).vectors, text)


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_a_class_that_is_no_candidate(gamma: float, planted: Planted) -> None:
    features, text = planted(60, 6)
    logits = SCALE * features @ text.T
    logits[:, 2] = -torch.inf
    for most in (64, 3):
        state = inmap(features, text, candidates_of(logits, most), SCALE, 20, gamma)
        assert torch.isfinite(state.vectors).all()


@pytest.mark.parametrize("least", [-20.0, -45.0, -60.0, -89.0, -95.0, -120.0])
def test_a_class_of_next_to_no_mass(least: float) -> None:
    logits = torch.zeros(400, 3)
    logits[:, 2] = -1e4
    logits[0, 2] = least
    labels = pseudo_labels(candidates_of(logits))
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(400))
