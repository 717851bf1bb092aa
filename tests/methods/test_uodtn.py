"""bGCN, UODTN and TSCE: pieces against plain numpy and brute force, and how they hang together."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax, softmax

from sreclip.methods.bgcn import Bgcn, tie_loss
from sreclip.methods.data import ClassGraph, ClassText, FitData
from sreclip.methods.gcn_zsl import GcnZsl
from sreclip.methods.layers import identity_adapter
from sreclip.methods.losses import matched_pair_loss
from sreclip.methods.tsce import Tsce
from sreclip.methods.uodtn import Uodtn, agreement, match_images

DIM, CLASSES = 6, 5
KNOWN = torch.tensor([True, False, True, True, False])
SMALL = {"gcn_width": 8, "batch_size": 10, "regression_steps": 30}


@pytest.fixture
def problem() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    text = F.normalize(torch.randn(CLASSES, DIM, generator=generator), dim=1)
    labels = torch.tensor([0, 2, 3])[torch.arange(30) % 3]
    source = F.normalize(text[labels] + 0.2 * torch.randn(30, DIM, generator=generator), dim=1)
    wanted = torch.arange(45) % CLASSES
    target = F.normalize(text[wanted] + 0.3 * torch.randn(45, DIM, generator=generator), dim=1)
    adjacency = torch.eye(CLASSES) + torch.eye(CLASSES).roll(1, 0)
    return {
        "source_features": source,
        "source_labels": labels,
        "target_features": target,
        "text": ClassText(text, 20.0, KNOWN),
        "graph": ClassGraph(
            text,
            (adjacency / 2).to_sparse(),
            torch.stack([torch.arange(CLASSES - 1), torch.arange(1, CLASSES)], dim=1),
            torch.arange(CLASSES),
            torch.eye(CLASSES),
        ),
    }


def array(value: torch.Tensor) -> np.ndarray:
    return value.detach().double().numpy()


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


def test_tie_loss_in_numpy() -> None:
    e, w = np.random.default_rng(0).normal(size=(2, CLASSES, 3))
    known = KNOWN.numpy()
    expected = ((e - w)[known] ** 2).sum() / 6 + ((e - w)[~known] ** 2).sum() / 4
    assert tie_loss(torch.tensor(e), torch.tensor(w), KNOWN).item() == pytest.approx(expected)
    everything = torch.ones(CLASSES, dtype=torch.bool)
    value = tie_loss(torch.tensor(e), torch.tensor(w), everything).item()
    assert value == pytest.approx(((e - w) ** 2).sum() / 10)


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


def test_the_adapter_starts_as_the_identity() -> None:
    features = F.normalize(torch.randn(3, DIM), dim=1)
    torch.testing.assert_close(identity_adapter(DIM)(features), features)


def test_bgcn_starts_from_what_the_gcn_regressed(problem: dict[str, Any]) -> None:
    method = Bgcn(**SMALL, steps=0).fit(**problem)
    same = GcnZsl(gcn_width=8, steps=30).fit(**problem)
    torch.testing.assert_close(method.classifiers_, same.classifiers_)
    torch.testing.assert_close(
        method.logits(problem["target_features"]),
        20 * problem["target_features"] @ same.classifiers_.T,
    )
    assert [set(record) for record in method.history_] == [{"step", "regression"}] * 30


def test_dropout_acts_on_the_tie(problem: dict[str, Any]) -> None:
    settings = SMALL | {"regression_steps": 0}
    start, with_it, without = (
        Bgcn(**settings, steps=steps, dropout=dropout).fit(**problem)
        for steps, dropout in ((0, 0.5), (3, 0.5), (3, 0.0))
    )
    assert torch.equal(start.classifiers_, Bgcn(**settings, steps=0).fit(**problem).classifiers_)
    assert with_it.history_[0]["cross_entropy"] == without.history_[0]["cross_entropy"]
    assert with_it.history_[0]["tie"] != without.history_[0]["tie"]


def terms_in_numpy(method: Bgcn, problem: dict[str, Any], rows: torch.Tensor) -> dict[str, Any]:
    w = array(method._classifiers)
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    sides = []
    for key in ("source_features", "target_features"):
        v = array(problem[key][rows]) @ array(method.adapter_.weight).T
        v += array(method.adapter_.bias)
        sides.append(v / np.linalg.norm(v, axis=1, keepdims=True))
    source, target = sides
    p, q = softmax(source @ w.T / 0.05, axis=1), softmax(target @ w.T / 0.05, axis=1)
    labels, known = problem["source_labels"][rows].numpy(), KNOWN.numpy()
    matched = (p * q)[:, known].sum(axis=1) > 0.6
    e = array(method.gcn_(problem["graph"]))
    distance = ((e - w) ** 2).sum(axis=1)
    return {
        "cross_entropy": -log_softmax(source @ w.T / 0.05, axis=1)[
            np.arange(len(rows)), labels
        ].mean(),
        "tie": distance[known].sum() / 6 + distance[~known].sum() / 4,
        "mass": q[:, ~known].sum(axis=1),
        "matched": matched,
        "matching": np.linalg.norm(source - target, axis=1)[matched].mean(),
    }


def test_bgcn_terms_in_numpy(problem: dict[str, Any]) -> None:
    method = Bgcn(**SMALL, dropout=0.0, steps=20).fit(**problem)
    rows = torch.arange(12)
    terms = method._terms(FitData(**problem), rows, rows)
    expected = terms_in_numpy(method, problem, rows)
    u = expected["mass"].mean()
    assert {name: weight for name, (weight, _) in terms.items()} == {
        "cross_entropy": 1.0,
        "tie": 1.5,
        "balance": 3.0,
    }
    for name in ("cross_entropy", "tie"):
        assert terms[name][1].item() == pytest.approx(expected[name], rel=1e-3)
    assert terms["balance"][1].item() == pytest.approx(u + 0.09**2 / u, rel=1e-3)


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


@pytest.mark.parametrize(("cls", "name"), [(Bgcn, "tie"), (Bgcn, "balance"), (Uodtn, "matching")])
def test_a_weight_of_zero_switches_a_term_off(
    cls: type[Bgcn], name: str, problem: dict[str, Any]
) -> None:
    records = [
        cls(**SMALL, steps=3, **settings).fit(**problem).history_ for settings in ({}, {name: 0.0})
    ]
    assert [any(name in record for record in history) for history in records] == [True, False]


def test_rates_and_schedule_of_bgcn(problem: dict[str, Any]) -> None:
    method = Bgcn(**SMALL, steps=1, decay=1.0).fit(**problem)
    optimizer, schedule = method._optimizer()
    rates = []
    for _ in range(3):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(rates, np.outer([1, 2**-0.75, 3**-0.75], [2e-4, 5e-4, 5e-4]))


TSCE = {"gcn_width": 8, "batch_size": 15, "bank_size": 30, "regression_steps": 20}


def test_tsce_starts_from_the_frozen_features_and_the_regressed_gcn(
    problem: dict[str, Any],
) -> None:
    method = Tsce(**TSCE, steps=0).fit(**problem)
    same = GcnZsl(gcn_width=8, steps=20).fit(**problem)
    torch.testing.assert_close(method.prototypes_, same.classifiers_)
    torch.testing.assert_close(
        method.logits(problem["target_features"]),
        20 * problem["target_features"] @ same.classifiers_.T,
        rtol=1e-4,
        atol=1e-4,
    )


def test_tsce_terms_weights_and_steps(problem: dict[str, Any]) -> None:
    method = Tsce(**TSCE, steps=5).fit(**problem)
    assert [record["step"] for record in method.history_] == list(range(1, 26))
    assert [set(record) - {"step"} for record in method.history_[:20]] == [{"regression"}] * 20
    first = {"cross_entropy", "rank", "entropy"}
    later = first | {"diversity", "balance"}
    # The bank of 30 is full after two batches of 15.
    assert [set(record) - {"step"} for record in method.history_[20:]] == [first] * 2 + [later] * 3
    chosen = method.settings
    assert (chosen.source, chosen.rank, chosen.entropy) == (1.0, 10.0, 5.0)
    assert (chosen.relation, chosen.warmup_steps) == (0.0, 0)
    assert method.baseline
