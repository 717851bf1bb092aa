"""Label propagation against a dense inverse of its definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sreclip.methods.logits import Block, assemble
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.propagation import spread
from sreclip.refinement.zlap import propagate, zlap

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def scores(
    features: torch.Tensor,
    text: torch.Tensor,
    k: int = 5,
    gamma: float = 5.0,
    alpha: float = 0.3,
    tolerance: float = 1e-12,
) -> torch.Tensor:
    found, _ = zlap(features, text, k, gamma, alpha, tolerance)
    return assemble(found.blocks(), len(features), len(text)).exp()


def dense_graph(f: np.ndarray, w: np.ndarray, k: int, gamma: float) -> np.ndarray:
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
    return s / np.sqrt(np.outer(degree, degree))


@pytest.mark.parametrize(("k", "gamma", "alpha"), [(5, 5.0, 0.3), (3, 1.0, 0.9), (2, 2.0, 0.0)])
def test_zlap_against_a_dense_inverse(k: int, gamma: float, alpha: float, planted: Planted) -> None:
    features, text = planted(40, 7, 6)
    s = dense_graph(features.numpy(), text.numpy(), k, gamma)
    expected = np.linalg.inv(np.eye(47) - alpha * s)[7:, :7]
    found = scores(features, text, k, gamma, alpha)
    np.testing.assert_allclose(found.numpy(), np.maximum(expected, 1e-12), rtol=1e-8, atol=1e-12)


def test_graph_is_symmetric_and_has_no_loop(planted: Planted) -> None:
    features, text = planted(40, 7, 6)
    graph = zlap(features, text)[0].graph.to_dense()
    np.testing.assert_allclose(graph, dense_graph(features.numpy(), text.numpy(), 5, 5.0))
    torch.testing.assert_close(graph, graph.T, rtol=0, atol=1e-15)
    assert not graph.diagonal().any()
    assert torch.linalg.eigvalsh(graph).abs().max() <= 1 + 1e-9


def test_pieces_change_nothing(planted: Planted, request: pytest.FixtureRequest) -> None:
    features, text = planted(40, 7, 6)
    whole = scores(features, text)
    request.getfixturevalue("small_pieces")
    blocks = list(zlap(features, text)[0].blocks())
    assert [block.classes.tolist() for block in blocks] == [[0, 1, 2], [3, 4, 5], [6]]
    assert all(block.rows.tolist() == list(range(40)) for block in blocks)
    torch.testing.assert_close(scores(features, text), whole)


def test_one_image_one_class_and_a_text_that_nothing_is_near_to(planted: Planted) -> None:
    features, text = planted(1, 7, 6)
    # One image, its nearest text: W = [[0, w], [w, 0]], normalized [[0, 1], [1, 0]].
    found = scores(features, F.normalize(features + 0.1, dim=1))
    torch.testing.assert_close(found, torch.tensor([[0.3 / (1 - 0.09)]], dtype=torch.float64))
    found = scores(features, torch.cat([text, -features]))
    assert torch.isfinite(found).all()
    assert float(found[0, -1]) == pytest.approx(1e-12)


def test_an_image_apart_from_all_others_and_all_texts() -> None:
    axes = torch.eye(4, dtype=torch.float64)
    features = torch.cat([axes[0].repeat(3, 1), axes[3:]])
    found = scores(features, axes[:2], k=3)
    assert (found[:3, 0] > found[:3, 1]).all()
    torch.testing.assert_close(found[3], torch.full((2,), 1e-12, dtype=torch.float64))


def predictions(features: torch.Tensor, text: torch.Tensor, most: int = 64) -> Candidates:
    logits = 8 * features @ text.T
    n, classes = logits.shape
    block = Block(torch.arange(n), torch.arange(classes), logits)
    return Candidates.from_blocks([block], n, classes, most)


@pytest.mark.parametrize("most", [64, 2])
@pytest.mark.parametrize(("k", "alpha"), [(5, 0.3), (3, 0.9), (3, 0.0), (1, 0.5), (100, 0.5)])
def test_propagation_against_a_dense_inverse(
    k: int, alpha: float, most: int, planted: Planted, small_pieces: None
) -> None:
    features, text = planted(40, 7, 6)
    candidates = predictions(features, text, most)
    blocks = list(propagate(features, candidates, k, alpha, tolerance=1e-13)[0].blocks())
    assert len(blocks) > 1
    s = dense_graph(features.numpy(), np.zeros((0, 6)), k, 1.0)
    y = candidates.dense(torch.arange(40)).numpy()
    expected = (1 - alpha) * np.linalg.inv(np.eye(40) - alpha * s) @ y
    found = assemble(blocks, 40, 7).exp().numpy()
    np.testing.assert_allclose(found, np.maximum(expected, 1e-12), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("most", [64, 2])
def test_propagation_keeps_an_image_that_is_alone(most: int, planted: Planted) -> None:
    features, text = planted(1, 3)
    (block,) = propagate(features, predictions(features, text, most))[0].blocks()
    p = predictions(features, text, most).dense(torch.arange(1))
    torch.testing.assert_close(block.logits.exp(), (0.7 * p).clamp_min(1e-12))


def test_propagation_with_denormal_probabilities(planted: Planted) -> None:
    features, text = planted(40, 7, 6)
    candidates = predictions(features.float(), 15 * text.float())
    p = candidates.log_p.exp()
    assert ((p > 0) & (p < 1e-38)).any()
    (block,) = propagate(features.float(), candidates)[0].blocks()
    assert torch.isfinite(block.logits).all()
    assert block.logits.min() >= np.log(1e-12) - 1e-4
    graph = zlap(features.float(), text.float())[0].graph
    right = torch.tensor([1.0, 1e-39]).expand(47, 2)
    assert not spread(graph, right, 0.3, 11)[:, 1].any()


def test_memory_grows_with_images_times_candidates(
    planted: Planted, largest: Any, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sreclip.refinement.joined.MOST_KEPT", 20)
    n, classes, k = 300, 40, 3
    features, text = planted(n, classes, 5)
    candidates = predictions(features, text, 4)
    with largest:
        for found, state in (zlap(features, text, k), propagate(features, candidates, k)):
            for _ in found.blocks():
                pass
            state.tensors()
    # Two ends of twice 5 edges an image, 8 bytes each; all classes of all images would be 320 n.
    assert largest.bytes <= 2 * 2 * (2 * k - 1) * 8 * n
