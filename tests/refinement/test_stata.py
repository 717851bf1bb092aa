"""StatA against a plain loop over the published update rules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import softmax

from sreclip.methods.logits import Block
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.stata import stata

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def candidates_of(logits: torch.Tensor, most: int = 64) -> Candidates:
    n, classes = logits.shape
    block = Block(torch.arange(n), torch.arange(classes), logits)
    return Candidates.from_blocks([block], n, classes, most)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def log_gaussian(f: np.ndarray, mu: np.ndarray, s2: np.ndarray) -> np.ndarray:
    away = (f[:, None] - mu[None]) ** 2 / s2[None]
    return -0.5 * (away + np.log(s2)[None]).sum(axis=2)


def plain(f: np.ndarray, w: np.ndarray, logits: np.ndarray, most: int = 64) -> tuple:
    n, classes = logits.shape
    p = softmax(logits, axis=1)
    for row in p:
        row[np.argsort(-row)[most:]] = 0
    cosines = f @ f.T
    np.fill_diagonal(cosines, -np.inf)
    near = np.zeros((n, n))
    for i in range(n):
        for j in np.argsort(-cosines[i])[:3]:
            near[i, j] = cosines[i, j]
    z = p / p.sum(axis=1, keepdims=True)
    s0 = np.einsum("ic,icd->d", z, (f[:, None] - w[None]) ** 2) / n
    mu, s2 = w, np.tile(s0, (classes, 1))
    for outer in range(11):
        g = log_gaussian(f, mu, s2) / 50
        for _ in range(5):
            z = p * np.exp(g + (near + near.T) @ z / 6 - (g + 1).max())
            z /= z.sum(axis=1, keepdims=True)
        if outer == 10:
            break
        counts = np.bincount(z.argmax(axis=1), minlength=classes)[:, None]
        beta = counts / (1 + counts)
        mass = np.maximum(z.sum(axis=0), 1e-12)[:, None]
        mu = unit(beta * unit(z.T @ f / mass) + (1 - beta) * w)
        within = np.einsum("ic,icd->cd", z, (f[:, None] - mu[None]) ** 2) / mass
        s2 = beta * within + (1 - beta) * (s0 + (w - mu) ** 2)
    return z, mu, s2


@pytest.mark.parametrize("most", [64, 3, 2])
def test_against_plain_updates(most: int, planted: Planted) -> None:
    features, centres = planted()
    logits = 8 * features @ centres.T
    found, state = stata(features, centres, candidates_of(logits, most))
    z, mu, s2 = plain(features.numpy(), centres.numpy(), logits.numpy(), most)
    np.testing.assert_allclose(found.dense(torch.arange(60)).numpy(), z, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(state.means.numpy(), mu, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(state.variances.numpy(), s2, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("most", [64, 3])
def test_pieces_change_nothing(most: int, planted: Planted, request: pytest.FixtureRequest) -> None:
    features, centres = planted()
    candidates = candidates_of(8 * features @ centres.T, most)
    whole, state = stata(features, centres, candidates)
    others = state(features, candidates)
    request.getfixturevalue("small_pieces")
    torch.testing.assert_close(stata(features, centres, candidates)[0].log_p, whole.log_p)
    torch.testing.assert_close(state(features, candidates).log_p, others.log_p)


@pytest.mark.parametrize("most", [64, 3])
def test_the_state_scores_other_images_by_the_gaussians(most: int, planted: Planted) -> None:
    features, centres = planted(120)
    logits = 8 * features @ centres.T
    _, state = stata(features[:60], centres, candidates_of(logits[:60]))
    others = candidates_of(logits[60:], most)
    found = state(features[60:], others).dense(torch.arange(60)).numpy()
    g = log_gaussian(features[60:].numpy(), state.means.numpy(), state.variances.numpy())
    p = others.dense(torch.arange(60)).numpy()
    expected = p * np.exp(g / 50 - (g / 50).max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)
    labels = torch.arange(120)[60:] % 4
    right = (torch.from_numpy(found).argmax(dim=1) == labels).double().mean()
    assert right >= (logits[60:].argmax(dim=1) == labels).double().mean()


def test_a_class_without_an_image_keeps_its_text(planted: Planted) -> None:
    features, centres = planted(20)
    logits = 8 * features @ centres.T
    logits[:, 0] = -1e4
    found, state = stata(features, centres, candidates_of(logits))
    torch.testing.assert_close(state.means[0], centres[0])
    for block in found.blocks():
        assert torch.isfinite(block.logits).all()
