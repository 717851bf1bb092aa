"""TransCLIP against a plain loop over the published update rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax

from sreclip.methods.logits import Block
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.neighbours import symmetric
from sreclip.refinement.pairs import AllPairs, SparsePairs, pairs_of
from sreclip.refinement.transclip import transclip

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def candidates_of(logits: torch.Tensor, most: int = 64) -> Candidates:
    n, classes = logits.shape
    block = Block(torch.arange(n), torch.arange(classes), logits)
    return Candidates.from_blocks([block], n, classes, most)


def refined(features: torch.Tensor, logits: torch.Tensor, most: int = 64) -> torch.Tensor:
    found, _ = transclip(features, candidates_of(logits, most))
    return found.dense(torch.arange(len(features)))


def plain(features: np.ndarray, logits: np.ndarray, most: int = 64) -> np.ndarray:
    n, dim = features.shape
    y = softmax(logits, axis=1)
    for row in y:
        row[np.argsort(-row)[most:]] = 0
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
    z = y / y.sum(axis=1, keepdims=True)
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


@pytest.mark.parametrize("most", [64, 3, 2])
def test_against_plain_updates(most: int, planted: Planted) -> None:
    features, centres = planted()
    logits = 8 * features @ centres.T
    np.testing.assert_allclose(
        refined(features, logits, most).numpy(),
        plain(features.numpy(), logits.numpy(), most),
        rtol=1e-6,
        atol=1e-15,
    )


@pytest.mark.parametrize("most", [64, 3])
def test_pieces_change_nothing(most: int, planted: Planted, request: pytest.FixtureRequest) -> None:
    features, centres = planted()
    logits = 8 * features @ centres.T
    whole = refined(features, logits, most)
    torch.testing.assert_close(whole.sum(dim=1), torch.ones(60, dtype=torch.float64))
    request.getfixturevalue("small_pieces")
    torch.testing.assert_close(refined(features, logits, most), whole)


def test_classes_that_are_impossible_need_not_be_candidates(planted: Planted) -> None:
    features, centres = planted(classes=6)
    logits = 8 * features @ centres.T
    farthest = logits.topk(3, dim=1, largest=False).indices
    logits.scatter_(1, farthest, -1e4)
    torch.testing.assert_close(refined(features, logits, 3), refined(features, logits))


def test_sparse_products_are_those_of_all_pairs(planted: Planted) -> None:
    features, centres = planted(30, classes=5)
    generator = torch.Generator().manual_seed(0)
    graph = symmetric(
        torch.randint(30, (80,), generator=generator),
        torch.randint(30, (80,), generator=generator),
        torch.rand(80, generator=generator).double(),
        30,
    )
    candidates = candidates_of(features @ centres.T, 3)
    everything, some = AllPairs(features, graph), SparsePairs(features, graph, candidates)
    z = torch.rand(30, 3, generator=generator).double()
    dense = torch.zeros(30, 5).double().scatter_(1, candidates.classes, z)

    def at_candidates(table: torch.Tensor) -> torch.Tensor:
        return table.expand(30, 5).gather(1, candidates.classes)

    of_class = torch.rand(5, generator=generator).double()
    scores, scores_dense = torch.full_like(z, torch.nan), torch.full_like(dense, torch.nan)
    everything.scores(centres, of_class, scores_dense)
    torch.testing.assert_close(scores_dense, features @ centres.T - of_class)
    some.scores(centres, of_class, scores)
    torch.testing.assert_close(scores, at_candidates(scores_dense))
    torch.testing.assert_close(some.sums(z), everything.sums(dense))
    torch.testing.assert_close(some.totals(z), everything.totals(dense))
    pulled, pulled_dense = torch.full_like(z, torch.nan), torch.full_like(dense, torch.nan)
    everything.pull(dense, pulled_dense)
    torch.testing.assert_close(some.pull(z, pulled), at_candidates(pulled_dense))


@pytest.mark.parametrize("most", [64, 3])
def test_products_with_float16_features_are_float32(most: int, planted: Planted) -> None:
    features, centres = (rows.float() for rows in planted(30, classes=5))
    candidates = candidates_of(features @ centres.T, most)
    half = features.half()
    ours, wide = (pairs_of(rows, None, candidates) for rows in (half, half.float()))
    z = candidates.log_p.exp()
    assert torch.equal(ours.sums(z), wide.sums(z))
    of_class = torch.zeros(5)
    scores = [pairs.scores(centres, of_class, torch.empty_like(z)) for pairs in (ours, wide)]
    assert torch.equal(*scores)


@pytest.mark.parametrize("most", [64, 2])
@pytest.mark.parametrize(("n", "classes"), [(1, 4), (2, 4), (1, 1), (20, 1), (20, 2), (3, 3)])
def test_few_images_and_few_classes(n: int, classes: int, most: int, planted: Planted) -> None:
    features, centres = planted(n, classes)
    z = refined(features, 8 * features @ centres.T, most)
    torch.testing.assert_close(z.sum(dim=1), torch.ones(n, dtype=torch.float64))


@pytest.mark.parametrize("most", [64, 2])
def test_a_class_that_no_image_is_of(most: int, planted: Planted) -> None:
    features, centres = planted(20)
    logits = 8 * features @ centres.T
    logits[:, 0] = -1e4
    found, _ = transclip(features, candidates_of(logits, most))
    for block in found.blocks():
        assert torch.isfinite(block.logits).all()
    assert not found.dense(torch.arange(20))[:, 0].any()


@pytest.mark.parametrize(("most", "pairs"), [(64, AllPairs), (3, SparsePairs)])
def test_no_denormal_number_goes_into_a_product(
    most: int, pairs: type, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, centres = planted()
    seen = []
    pull = pairs.pull

    def watched(self: object, values: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        seen.append(values.clone())
        return pull(self, values, out)

    monkeypatch.setattr(pairs, "pull", watched)
    z = refined(features.float(), 110 * (features @ centres.T).float(), most)
    assert torch.isfinite(z).all()
    assert all((values[values > 0] >= 1e-20).all() for values in seen)
    assert any((values == 0).any() for values in seen)


def test_memory_grows_with_images_times_candidates(
    planted: Planted, largest: Any, small_pieces: None
) -> None:
    n, classes, most = 300, 40, 4
    features, centres = planted(n, classes, 5)
    candidates = candidates_of(8 * features @ centres.T, most)
    with largest:
        found, _ = transclip(features, candidates)
        for _ in found.blocks():
            pass
    # Two ends of twice 3 edges an image, 8 bytes each; all classes of all images would be 320 n.
    assert largest.bytes <= 2 * 2 * 3 * 8 * n


@pytest.mark.parametrize("most", [64, 3])
def test_the_state_scores_other_images_by_the_gaussians(most: int, planted: Planted) -> None:
    features, centres = planted(120)
    logits = 8 * features @ centres.T
    _, state = transclip(features[:60], candidates_of(logits[:60]))
    others = candidates_of(logits[60:], most)
    away = (features[60:, None] - state.means[None]).square() / state.variances[None]
    p = others.dense(torch.arange(60))
    expected = (p.log() - away.sum(dim=2) / 100).softmax(dim=1)
    found = state(features[60:], others).dense(torch.arange(60))
    torch.testing.assert_close(found, expected)
