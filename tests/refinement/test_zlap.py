"""ZLaP against a dense solve of its definition, and its conjugate gradients against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.sparse.linalg import cg

from sreclip.refinement import zlap as module
from sreclip.refinement.zlap import conjugate_gradients, normalized_graph, zlap


def planted(n: int = 40, classes: int = 7, dim: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    text = F.normalize(torch.randn(classes, dim, generator=generator), dim=1)
    noise = 0.5 * torch.randn(n, dim, generator=generator)
    return F.normalize(text[torch.arange(n) % classes] + noise, dim=1).double(), text.double()


def dense(f: np.ndarray, w: np.ndarray, k: int, gamma: float, alpha: float) -> np.ndarray:
    n, c = len(f), len(w)
    s = np.zeros((c + n, c + n))
    for i in range(n):
        images = f @ f[i]
        for j in np.argsort(-images)[:k]:
            if j != i:
                s[c + i, c + j] = max(0.0, images[j])
        texts = w @ f[i]
        for j in np.argsort(-texts)[:k]:
            s[c + i, j] = max(0.0, texts[j]) ** gamma
    s = s + s.T
    degree = s.sum(axis=1)
    degree[degree == 0] = 1
    s /= np.sqrt(np.outer(degree, degree))
    return np.linalg.inv(np.eye(c + n) - alpha * s)[c:, :c]


@pytest.mark.parametrize(("k", "gamma", "alpha"), [(5, 5.0, 0.3), (3, 1.0, 0.9), (2, 2.0, 0.0)])
def test_against_a_dense_inverse(k: int, gamma: float, alpha: float) -> None:
    features, text = planted()
    scores = zlap(features, text, k, gamma, alpha, tolerance=1e-12)
    expected = dense(features.numpy(), text.numpy(), k, gamma, alpha)
    np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-8, atol=1e-12)


def test_blocks_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features, text = planted()
    whole = zlap(features, text)
    monkeypatch.setattr(module, "CHUNK", 7)
    monkeypatch.setattr(module, "BLOCK_VALUES", 100)
    torch.testing.assert_close(zlap(features, text), whole)


def test_one_image_one_class_and_a_text_that_nothing_is_near_to() -> None:
    features, text = planted(1)
    # One image, its nearest text: W = [[0, w], [w, 0]], normalised [[0, 1], [1, 0]].
    scores = zlap(features, (features + 0.1), k=5, alpha=0.3, tolerance=1e-10)
    torch.testing.assert_close(scores, torch.tensor([[0.3 / (1 - 0.09)]], dtype=torch.float64))
    away = torch.cat([text, -features])
    scores = zlap(features, away)
    assert torch.isfinite(scores).all()
    assert scores[0, -1] == 0


def test_graph_is_symmetric_and_has_no_loop() -> None:
    features, text = planted()
    graph = normalized_graph(features, text, 5, 5.0)
    assert abs(graph - graph.T).max() < 1e-12
    assert not graph.diagonal().any()
    assert np.abs(np.linalg.eigvalsh(graph.toarray())).max() <= 1 + 1e-9


def test_conjugate_gradients_against_scipy() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(12, 12))
    a = a @ a.T + 5 * np.eye(12)
    right = rng.normal(size=(12, 4))
    right[:, 2] = 0
    ours = conjugate_gradients(lambda x: a @ x, right, 1e-6)
    for column in range(4):
        theirs, _ = cg(a, right[:, column], rtol=1e-6)
        np.testing.assert_allclose(ours[:, column], theirs, rtol=1e-6, atol=1e-12)
    residual = np.linalg.norm(a @ ours - right, axis=0)
    assert (residual <= 1.01e-6 * np.linalg.norm(right, axis=0)).all()
