"""bGCN, UODTN and TSCE: pieces against plain numpy and brute force, and how they hang together."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax

from sreclip.methods.data import FitData
from sreclip.methods.losses import matched_pair_loss
from sreclip.methods.uodtn import Uodtn, agreement, match_images
from tests.methods.conftest import CLASSES, DIM, KNOWN, SMALL, terms_in_numpy


def test_matched_pair_loss_by_hand() -> None:
    source = torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]], requires_grad=True)
    target = torch.tensor([[3.0, 4.0], [7.0, 7.0], [2.0, 0.0]])
    loss = matched_pair_loss(source, target, torch.tensor([True, False, True]))
    assert loss.item() == pytest.approx((5 + 0) / 2)
    loss.backward()
    # Towards the match; nothing for the pair that is not matched or is there already.
    assert source.grad is not None
    torch.testing.assert_close(source.grad, torch.tensor([[-0.3, -0.4], [0.0, 0.0], [0.0, 0.0]]))


def test_matched_pair_loss_without_a_match_is_zero() -> None:
    source = torch.ones(3, 2, requires_grad=True)
    loss = matched_pair_loss(source, torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert source.grad is not None
    assert not source.grad.any()


def test_agreement_in_numpy() -> None:
    source, target = np.random.default_rng(0).normal(size=(2, 7, CLASSES)) * 2
    known = KNOWN.numpy()
    p, q = softmax(source, axis=1), softmax(target, axis=1)
    expected = [sum(p[i, c] * q[i, c] for c in range(CLASSES) if known[c]) for i in range(7)]
    value = agreement(torch.tensor(source), torch.tensor(target), KNOWN)
    np.testing.assert_allclose(value.numpy(), expected)


def test_matching_is_the_best_of_all_assignments() -> None:
    generator = torch.Generator().manual_seed(0)
    source, target = F.normalize(torch.randn(2, 6, 4, generator=generator), dim=2)
    rows, columns = match_images(source, target, 6, generator)
    assert sorted(rows.tolist()) == sorted(columns.tolist()) == list(range(6))
    cosines = source @ target.T
    best = max(
        sum(cosines[i, j].item() for i, j in enumerate(way))
        for way in itertools.permutations(range(6))
    )
    assert cosines[rows, columns].sum().item() == pytest.approx(best)


@pytest.mark.parametrize(("n_source", "n_target"), [(5, 17), (17, 5), (1, 4), (4, 1), (8, 8)])
def test_matching_repeats_the_smaller_domain(n_source: int, n_target: int) -> None:
    generator = torch.Generator().manual_seed(1)
    source = F.normalize(torch.randn(n_source, 4, generator=generator), dim=1)
    target = F.normalize(torch.randn(n_target, 4, generator=generator), dim=1)
    rows, columns = match_images(source, target, 4, generator)
    n = max(n_source, n_target)
    for numbers, size in ((rows, n_source), (columns, n_target)):
        counts = torch.bincount(numbers, minlength=size)
        assert len(numbers) == n
        assert counts.min() >= n // size
        assert counts.max() <= -(-n // size)


def test_matching_finds_the_shifted_copy() -> None:
    generator = torch.Generator().manual_seed(2)
    source = F.normalize(torch.randn(20, 16, generator=generator), dim=1)
    order = torch.randperm(20, generator=generator)
    target = F.normalize(source[order] + 0.1 * torch.randn(16, generator=generator), dim=1)
    rows, columns = match_images(source, target, 20, generator)
    assert torch.equal(order[columns], rows)


def test_batches_are_of_matched_pairs(problem: dict[str, Any]) -> None:
    method = Uodtn(**SMALL)
    source, target = (problem[key] for key in ("source_features", "target_features"))
    matched = match_images(source, target, 1024, torch.Generator().manual_seed(3))
    wanted = sorted(zip(*(rows.tolist() for rows in matched), strict=True))
    drawn = method._pairs(FitData(**problem), torch.Generator().manual_seed(3))
    # A pass over 45 pairs has four whole batches of ten.
    pairs = [pair for _ in range(4) for pair in zip(*next(drawn), strict=True)]
    numbers = [(int(s), int(t)) for s, t in pairs]
    assert len(set(numbers)) == 40
    assert set(numbers) <= set(wanted)


def test_uodtn_terms_in_numpy(problem: dict[str, Any]) -> None:
    method = Uodtn(**SMALL, dropout=0.0, steps=20, match_chunk=16).fit(**problem)
    rows = torch.arange(30)
    # The same images in both domains, so that pairs of known classes agree.
    problem["target_features"][:15] = problem["source_features"][:15]
    terms = method._terms(FitData(**problem), rows, rows)
    expected = terms_in_numpy(method, problem, rows)
    matched = expected["matched"]
    assert 0 < matched.sum() < 30
    u = expected["mass"][~matched].mean()
    assert terms["matching"][0] == 0.7
    assert terms["matching"][1].item() == pytest.approx(expected["matching"], rel=1e-3)
    assert terms["balance"][1].item() == pytest.approx(u + 0.09**2 / u, rel=1e-3)


def test_no_balance_when_every_pair_is_matched(problem: dict[str, Any]) -> None:
    method = Uodtn(**SMALL, steps=0, agreement=0.0).fit(**problem)
    logits = torch.zeros(4, CLASSES)
    images = torch.eye(4, DIM)
    terms = method._target_terms(images, images, logits, logits)
    assert set(terms) == {"matching"}


def test_uodtn_brings_matched_images_together(problem: dict[str, Any]) -> None:
    source, target = (problem[key] for key in ("source_features", "target_features"))
    rows, columns = match_images(source, target, 1024, torch.Generator().manual_seed(0))
    distances = []
    for weight in (0.0, 20.0):
        method = Uodtn(**SMALL, steps=60, adapter_lr=1e-3, matching=weight).fit(**problem)
        gap = method.image_features(source[rows]) - method.image_features(target[columns])
        distances.append(gap.norm(dim=1).mean().item())
    assert distances[1] < 0.9 * distances[0]
