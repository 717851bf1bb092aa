"""Loss terms against plain numpy and values worked out by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from sreclip.methods import losses

RNG = np.random.default_rng(0)


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float64)


def test_known_cross_entropy_ignores_unknown_logits() -> None:
    logits = RNG.normal(size=(5, 4))
    labels, known = np.array([0, 1, 3, 1, 0]), np.array([True, True, False, True])
    expected = -log_softmax(logits[:, known], axis=1)[np.arange(5), [0, 1, 2, 1, 0]].mean()
    value = losses.known_cross_entropy(tensor(logits), torch.tensor(labels), torch.tensor(known))
    assert value.item() == pytest.approx(expected)
    logits[:, 2] = 50
    moved = losses.known_cross_entropy(tensor(logits), torch.tensor(labels), torch.tensor(known))
    assert moved.item() == pytest.approx(expected)


def test_relation_loss_by_hand() -> None:
    prototypes = tensor([[1, 0], [0.6, 0.8]])
    logits = tensor([[2, 1], [0, 3]])
    # Rows of prototype products: [1, 0.6] for class 0, [0.6, 1] for class 1.
    expected = ((2 - 1) ** 2 + (1 - 0.6) ** 2 + (0 - 0.6) ** 2 + (3 - 1) ** 2) / 4
    assert losses.relation_loss(logits, prototypes).item() == pytest.approx(expected)


def test_relation_distillation_is_a_kl() -> None:
    logits, relation = RNG.normal(size=(3, 4)), RNG.uniform(size=(4, 4))
    labels = np.array([2, 0, 2])
    wanted = softmax(relation[labels] / 0.5, axis=1)
    expected = (wanted * (np.log(wanted) - log_softmax(logits, axis=1))).sum(axis=1).mean()
    value = losses.relation_distillation(
        tensor(logits), torch.tensor(labels), tensor(relation), 0.5
    )
    assert value.item() == pytest.approx(expected)


def brute_rank(prototype: np.ndarray, semantic: np.ndarray) -> float:
    pairs = list(itertools.combinations(range(len(semantic)), 2))
    terms = [
        max(0.0, prototype[a] - prototype[b])
        for a in pairs
        for b in pairs
        if semantic[a] < semantic[b]
    ]
    return sum(terms) / len(terms) if terms else 0.0


def table(distances: torch.Tensor) -> losses.Distances:
    return lambda rows, columns: distances[rows, columns]


def rank_loss(
    prototype: torch.Tensor, semantic: torch.Tensor, sample: int = 1, seed: int = 0, **kind: bool
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rank = losses.RankLoss(
        table(semantic), len(semantic), sample=sample, generator=generator, **kind
    )
    return rank(table(prototype))


def test_rank_loss_against_brute_force() -> None:
    prototype, semantic = (m + m.T for m in RNG.uniform(size=(2, 6, 6)))
    value = rank_loss(tensor(prototype), tensor(semantic))
    assert value.item() == pytest.approx(brute_rank(prototype, semantic))


def test_rank_loss_by_hand_and_zero_when_ordered() -> None:
    semantic = tensor([[0, 1, 2], [1, 0, 3], [2, 3, 0]])
    assert rank_loss(semantic, semantic).item() == 0
    prototype = tensor([[0, 5, 4], [5, 0, 3], [4, 3, 0]])
    # Ordered pairs of distances: (01 < 02): 5 - 4, (01 < 12): 5 - 3, (02 < 12): 4 - 3.
    assert rank_loss(prototype, semantic).item() == pytest.approx(4 / 3)


def test_rank_loss_without_a_pair_keeps_the_graph() -> None:
    distances = torch.zeros(3, 3, requires_grad=True)
    value = rank_loss(distances, torch.zeros(3, 3))
    value.backward()
    assert value.item() == 0
    assert distances.grad is not None
    assert not distances.grad.any()
    assert rank_loss(torch.zeros(1, 1), torch.zeros(1, 1)).item() == 0


def test_rank_loss_as_coded_looks_at_the_diagonals_alone() -> None:
    prototype, semantic = RNG.uniform(size=(2, 4, 4))
    np.fill_diagonal(prototype, [4, 3, 2, 1])
    np.fill_diagonal(semantic, [1, 2, 3, 4])
    # All six pairs are ordered against the semantics: excesses 1, 2, 3, 1, 2, 1.
    value = rank_loss(tensor(prototype), tensor(semantic), as_coded=True)
    assert value.item() == pytest.approx(10 / 6)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 30), st.integers(1, 30))
def test_rank_loss_and_its_gradient_against_all_pairs(
    seed: int, n_classes: int, levels: int, semantic_levels: int
) -> None:
    # Few levels make ties, in either order or in both.
    generator = torch.Generator().manual_seed(seed)
    shape = (n_classes, n_classes)
    prototype = torch.randint(levels, shape, generator=generator).double().requires_grad_()
    semantic = torch.randint(semantic_levels, shape, generator=generator).double()
    rows, columns = torch.triu_indices(n_classes, n_classes, 1)
    p, s = prototype[rows, columns], semantic[rows, columns]
    ordered = s[:, None] < s[None, :]
    excess = F.relu(p[:, None] - p[None, :])[ordered]
    expected = excess.mean() if ordered.any() else prototype.sum() * 0
    value = rank_loss(prototype, semantic)
    torch.testing.assert_close(value, expected)
    gradients = [torch.autograd.grad(loss, prototype)[0] for loss in (value, expected)]
    torch.testing.assert_close(*gradients)


def test_drawn_pairs_are_exact_in_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    prototype, semantic = (np.triu(m, 1) + np.triu(m, 1).T for m in RNG.uniform(size=(2, 12, 12)))
    monkeypatch.setattr(losses, "MAX_EXACT_CLASSES", 0)
    drawn = rank_loss(tensor(prototype), tensor(semantic), sample=200_000)
    assert drawn.item() == pytest.approx(brute_rank(prototype, semantic), rel=0.02)


def test_only_drawn_distances_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "MAX_EXACT_CLASSES", 0)
    asked: list[torch.Tensor] = []

    def distances(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        asked.append(torch.stack([rows, columns]))
        assert (rows < columns).all()
        return columns - rows.double()

    rank = losses.RankLoss(distances, 9, sample=50, generator=torch.Generator().manual_seed(3))
    assert asked == []
    assert rank(distances) == 0
    assert [places.shape for places in asked] == [(2, 100), (2, 100)]
    assert torch.equal(*asked)


@pytest.mark.parametrize("distances", [losses.euclidean_distances, losses.unit_distances])
def test_distances_of_many_and_of_few_vectors(
    distances: Callable[..., torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = F.normalize(tensor(RNG.normal(size=(9, 4))), dim=1)
    rows, columns = torch.triu_indices(9, 9, 1)
    few = distances(vectors, rows, columns)
    monkeypatch.setattr(losses, "MAX_EXACT_CLASSES", 0)
    torch.testing.assert_close(distances(vectors, rows, columns), few)
    expected = np.linalg.norm(vectors.numpy()[rows] - vectors.numpy()[columns], axis=1)
    np.testing.assert_allclose(few.numpy(), expected)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_places_of_distances(n: int) -> None:
    rows, columns = losses.distance_places(torch.arange(n * (n - 1) // 2), n)
    expected = torch.triu_indices(n, n, 1)
    assert torch.equal(rows, expected[0])
    assert torch.equal(columns, expected[1])


def test_relation_loss_of_few_images_asks_for_their_rows_alone() -> None:
    prototypes = F.normalize(tensor(RNG.normal(size=(6, 3))), dim=1)
    logits = tensor(RNG.normal(size=(4, 6)))
    few = losses.relation_loss(logits, prototypes)
    many = losses.relation_loss(logits.repeat(3, 1), prototypes)
    assert few.item() == pytest.approx(many.item())


def test_entropy_bounds() -> None:
    assert losses.entropy_loss(torch.zeros(3, 8)).item() == pytest.approx(math.log(8))
    assert losses.entropy_loss(torch.eye(3) * 1000).item() == pytest.approx(0)
    assert losses.entropy_loss(torch.zeros(3, 1)).item() == 0


def test_diversity_by_hand() -> None:
    assert losses.diversity_loss(torch.eye(4) * 1000).item() == pytest.approx(-math.log(4))
    collapsed = torch.tensor([[1000.0, 0, 0, 0]]).repeat(5, 1)
    assert losses.diversity_loss(collapsed).item() == pytest.approx(0)
    logits = RNG.normal(size=(6, 3))
    mean = softmax(logits, axis=1).mean(axis=0)
    assert losses.diversity_loss(tensor(logits)).item() == pytest.approx(
        float((mean * np.log(mean)).sum())
    )


@settings(deadline=None)
@given(st.floats(1e-3, 1), st.floats(1e-2, 1))
def test_balance_is_least_at_c(u: float, c: float) -> None:
    value = losses.balance_loss(torch.tensor([u, u], dtype=torch.float64), c).item()
    assert value == pytest.approx(u + c * c / u)
    assert value >= 2 * c - 1e-9


def test_balance_near_zero_is_large_and_finite() -> None:
    mass = torch.zeros(4, requires_grad=True)
    value = losses.balance_loss(mass, 0.3)
    assert math.isfinite(value.item())
    assert value.item() > 1e4


def test_retention_and_soft_labels_are_kls() -> None:
    logits, frozen = RNG.normal(size=(2, 5, 3))
    wanted = softmax(frozen, axis=1)
    expected = (wanted * (np.log(wanted) - log_softmax(logits, axis=1))).sum(axis=1).mean()
    assert losses.retention_loss(tensor(logits), tensor(frozen)).item() == pytest.approx(expected)
    assert losses.soft_label_loss(tensor(logits), tensor(wanted)).item() == pytest.approx(expected)
    assert losses.retention_loss(tensor(logits), tensor(logits)).item() == pytest.approx(0)
    one_hot = np.eye(3)[[0, 1, 2, 0, 1]]
    assert losses.soft_label_loss(tensor(logits), tensor(one_hot)).item() == pytest.approx(
        -log_softmax(logits, axis=1)[np.arange(5), [0, 1, 2, 0, 1]].mean()
    )


def test_anchor_by_hand() -> None:
    text = tensor([[1, 0], [0, 1]])
    prototypes = tensor([[0, 1], [0, 1]])
    assert losses.anchor_loss(prototypes, text).item() == pytest.approx(0.5)
