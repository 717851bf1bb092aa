"""TransCLIP against a plain loop over the published update rules."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import softmax

from sreclip.refinement import transclip as module
from sreclip.refinement.transclip import nearest_neighbours, transclip


def planted(n: int = 60, classes: int = 4, dim: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    centres = F.normalize(torch.randn(classes, dim, generator=generator), dim=1)
    labels = torch.arange(n) % classes
    noise = 0.4 * torch.randn(n, dim, generator=generator)
    return F.normalize(centres[labels] + noise, dim=1).double(), centres.double()


def plain(features: np.ndarray, logits: np.ndarray) -> np.ndarray:
    n, dim = features.shape
    y = softmax(logits, axis=1)
    similarity = features @ features.T
    np.fill_diagonal(similarity, -np.inf)
    w = np.zeros((n, n))
    for i in range(n):
        for j in np.argsort(-similarity[i])[:3]:
            w[i, j] = similarity[i, j]
    mu = np.zeros((y.shape[1], dim))
    for c in range(y.shape[1]):
        top = np.argsort(-y[:, c])[:8]
        mu[c] = (y[top, c, None] * features[top]).mean(axis=0)
    mu /= np.linalg.norm(mu, axis=1, keepdims=True)
    variance = np.full(dim, 1 / dim)
    z = y.copy()
    for outer in range(11):
        g = -0.5 * (((features[:, None] - mu[None]) ** 2) / variance).sum(axis=2)
        for _ in range(5):
            z = y * np.exp((g + 50 / 6 * (w.T @ z + w @ z)) / 50)
            z /= z.sum(axis=1, keepdims=True)
        if outer == 10:
            break
        mu = z.T @ features
        mu /= np.linalg.norm(mu, axis=1, keepdims=True)
        variance = np.einsum("ic,icd->d", z, (features[:, None] - mu[None]) ** 2) / n
    return z


def test_against_plain_updates() -> None:
    features, centres = planted()
    logits = 8 * features @ centres.T
    np.testing.assert_allclose(
        transclip(features, logits).numpy(),
        plain(features.numpy(), logits.numpy()),
        rtol=1e-6,
        atol=1e-15,
    )


def test_rows_sum_to_one_and_chunks_change_nothing(monkeypatch: object) -> None:
    features, centres = planted()
    logits = 8 * features @ centres.T
    whole = transclip(features, logits)
    torch.testing.assert_close(whole.sum(dim=1), torch.ones(60, dtype=torch.float64))
    before = module.CHUNK
    module.CHUNK = 7
    try:
        torch.testing.assert_close(transclip(features, logits), whole)
    finally:
        module.CHUNK = before


def test_neighbours_by_brute_force() -> None:
    features, _ = planted(20)
    numbers, cosines = nearest_neighbours(features, 3)
    similarity = (features @ features.T).fill_diagonal_(-2)
    expected = similarity.topk(3, dim=1)
    assert torch.equal(numbers, expected.indices)
    torch.testing.assert_close(cosines, expected.values)


def test_one_image_and_an_unused_class() -> None:
    features, centres = planted(1)
    assert torch.isfinite(transclip(features, 8 * features @ centres.T)).all()
    features, centres = planted(20)
    logits = 8 * features @ centres.T
    logits[:, 0] = -1e4
    assert torch.isfinite(transclip(features, logits)).all()
