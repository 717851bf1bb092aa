"""Pieces of the reference SRE-CLIP against plain numpy and values worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax, softmax

from sreclip.methods import sre_clip_reference
from sreclip.methods.data import ClassGraph, ClassText
from sreclip.methods.layers import (
    FeatureBank,
)
from sreclip.methods.sre_clip_reference import SreClipReference
from tests.methods.conftest import array

SMALL = {"width": 6, "gcn_width": 5, "batch_size": 8, "bank_size": 16}


def problem(n_unknown: int = 1) -> dict[str, object]:
    generator = torch.Generator().manual_seed(0)
    nodes = F.normalize(torch.randn(6, 4, generator=generator), dim=1)
    known = torch.arange(4) < 4 - n_unknown
    labels = torch.arange(16) % (4 - n_unknown)
    adjacency = torch.eye(6) + torch.eye(6).roll(1, 0)
    return {
        "source_features": F.normalize(nodes[labels] + 0.1, dim=1),
        "source_labels": labels,
        "target_features": F.normalize(torch.randn(24, 4, generator=generator), dim=1),
        "text": ClassText(nodes[:4], 20.0, known),
        "graph": ClassGraph(
            nodes,
            (adjacency / 2).to_sparse(),
            torch.stack([torch.arange(5), torch.arange(1, 6)], dim=1),
            torch.arange(4),
            torch.eye(4),
        ),
    }


@pytest.mark.parametrize("n_target", [6, 4])
def test_the_domains_go_through_the_adapter_together_but_apart(n_target: int) -> None:
    data = problem()
    method = SreClipReference(**SMALL, steps=1)
    method.fit(**data)
    domains = data["source_features"][:6], data["target_features"][:n_target]
    for together, features in zip(method._image_sides(*domains), domains, strict=True):
        torch.testing.assert_close(together, method._image_side(features))


def test_the_optimizer_follows_the_schedule() -> None:
    method = SreClipReference(**SMALL, steps=2, warmup_steps=1, decay=1.0)
    method.fit(**problem())
    optimizer, schedule = method._optimizer()
    rates = []
    for _ in range(4):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    expected = np.outer([1, 1, 2**-0.75, 3**-0.75], [1e-3, 5e-3])
    np.testing.assert_allclose(rates, expected)
    assert all(
        group["nesterov"] and group["momentum"] == 0.9 and group["weight_decay"] == 1e-4
        for group in optimizer.param_groups
    )


def test_terms_in_numpy() -> None:
    data = problem()
    method = SreClipReference(**SMALL, steps=0)
    method.fit(**data)
    generator = torch.Generator().manual_seed(1)
    images = F.normalize(torch.randn(8, 6, generator=generator), dim=1) / 0.05
    prototypes = F.normalize(torch.randn(4, 6, generator=generator), dim=1)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    weighted = method._source_terms(images, labels, prototypes)
    assert {name: weight for name, (weight, _) in weighted.items()} == {
        "cross_entropy": 1.0,
        "rank": 100.0,
        "relation": 0.01,
    }
    terms = {name: term for name, (_, term) in weighted.items()}
    e = array(prototypes)
    p = array(images) @ e.T
    relations = e @ e.T
    assert terms["cross_entropy"].item() == pytest.approx(
        -log_softmax(p, axis=1)[np.arange(8), labels.numpy()].mean(), rel=1e-4
    )
    assert terms["relation"].item() == pytest.approx(
        ((p - relations[p.argmax(axis=1)]) ** 2).mean(), rel=1e-4
    )
    distance = np.linalg.norm(e[:, None] - e[None], axis=2)
    nodes = array(data["graph"].node_features[:4])
    semantic = np.linalg.norm(nodes[:, None] - nodes[None], axis=2)
    upper = np.triu_indices(4, 1)
    pairs = [
        max(0.0, a - b)
        for a, sa in zip(distance[upper], semantic[upper], strict=True)
        for b, sb in zip(distance[upper], semantic[upper], strict=True)
        if sa < sb
    ]
    assert terms["rank"].item() == pytest.approx(np.mean(pairs), rel=1e-4)

    bank = FeatureBank(16)
    bank.add(images)
    assert set(method._target_terms(images.flip(1), prototypes, bank)) == {"entropy"}
    weighted = method._target_terms(images, prototypes, bank)
    assert {name: weight for name, (weight, _) in weighted.items()} == {
        "entropy": 3.0,
        "diversity": 5.0,
        "balance": 5.0,
    }
    terms = {name: term for name, (_, term) in weighted.items()}
    mean = softmax(np.concatenate([array(images.flip(1)), array(images)]) @ e.T, axis=1).mean(0)
    q = softmax(p, axis=1)
    assert terms["entropy"].item() == pytest.approx(-(q * np.log(q)).sum(1).mean(), rel=1e-4)
    assert terms["diversity"].item() == pytest.approx((mean * np.log(mean)).sum(), rel=1e-4)
    u = q[:, 3].mean()
    assert terms["balance"].item() == pytest.approx(u + 0.09 / u, rel=1e-4)


def test_which_side_each_target_term_trains() -> None:
    method = SreClipReference(**SMALL, steps=0)
    method.fit(**problem())
    bank = FeatureBank(8)
    bank.add(torch.randn(8, 6))
    reached = {}
    for term in ("entropy", "diversity", "balance"):
        images = torch.randn(8, 6, requires_grad=True)
        prototypes = torch.randn(4, 6, requires_grad=True)
        _, value = method._target_terms(images, prototypes, bank)[term]
        gradients = torch.autograd.grad(value, [images, prototypes], allow_unused=True)
        reached[term] = [gradient is not None for gradient in gradients]
    assert reached == {
        "entropy": [True, False],
        "diversity": [False, True],
        "balance": [True, True],
    }


def test_warm_up_has_the_source_terms_alone_and_fills_the_bank() -> None:
    method = SreClipReference(**SMALL, steps=5, warmup_steps=3)
    method.fit(**problem())
    source = {"step", "cross_entropy", "rank", "relation"}
    target = {"entropy", "diversity", "balance"}
    assert [set(record) for record in method.history_] == [source] * 3 + [source | target] * 2
    method = SreClipReference(**SMALL, steps=3, warmup_steps=0)
    method.fit(**problem())
    assert ["diversity" in record for record in method.history_] == [False, False, True]


@pytest.mark.parametrize("name", ["rank", "relation", "entropy", "diversity", "balance"])
def test_a_weight_of_zero_switches_a_term_off(name: str) -> None:
    method = SreClipReference(**SMALL, steps=5, warmup_steps=2, **{name: 0.0})
    method.fit(**problem())
    assert not any(name in record for record in method.history_)


def test_source_terms_weigh_more_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    weights: list[dict[str, float]] = []
    method = SreClipReference(**SMALL, warmup_steps=1, steps=2)

    def keep(_: object, optimizer: object, terms_of: Any, steps: int, **rest: object) -> None:
        for _step in range(steps):
            weights.append({name: weight for name, (weight, _) in terms_of().items()})

    monkeypatch.setattr(sre_clip_reference, "minimize", keep)
    method.fit(**problem())
    source = {"cross_entropy": 1.0, "rank": 100.0, "relation": 0.01}
    assert weights[0] == source
    later = {name: 1.5 * weight for name, weight in source.items()}
    assert weights[1] == later | {"entropy": 3.0}


def test_bfloat16_is_near_float32_and_keeps_float32_weights() -> None:
    data = problem()
    settings = SMALL | {"width": 64, "gcn_width": 64}
    # With two of twelve seeds, 0 among them, a rounding outgrows these bounds in three steps.
    short, full = (
        SreClipReference(**settings, steps=3, warmup_steps=1, precision=precision, seed=1).fit(
            **data
        )
        for precision in ("bfloat16", "float32")
    )
    for name, value in short.state().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, full.state()[name], rtol=0.05, atol=0.02)
    features = data["target_features"]
    logits = short.logits(features)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, full.logits(features))
    torch.testing.assert_close(logits, full.logits(features), rtol=0.05, atol=0.5)


def test_rank_as_coded_is_float_noise() -> None:
    method = SreClipReference(**SMALL, steps=3, rank_pairs="as_coded")
    method.fit(**problem())
    assert all(record["rank"] < 1e-2 for record in method.history_)


def test_evaluation_batches_are_shuffled_mixed_and_of_equal_size() -> None:
    data = problem()
    method = SreClipReference(**SMALL, steps=2)
    method.fit(**data)
    features = data["target_features"][:17]
    order = torch.randperm(17, generator=torch.Generator().manual_seed(0))
    expected = torch.empty(17, 4)
    for rows in (order[:6], order[6:12], order[12:]):
        v = F.normalize(method.adapter_(features[rows]), dim=1)
        expected[rows] = (20 * v @ method.prototypes_.T).detach()
    torch.testing.assert_close(method.logits(features), expected)
    assert method.logits(features[:0]).shape == (0, 4)
    rows = torch.cat([block.rows for block in method.logit_blocks(features)])
    assert torch.equal(rows, order)
    torch.testing.assert_close(
        20 * method.image_features(features) @ method.prototypes_.T, expected, rtol=1e-4, atol=1e-4
    )


def test_one_known_class_and_no_unknown_one() -> None:
    for n_unknown in (3, 0):
        method = SreClipReference(**SMALL, steps=4, warmup_steps=1)
        data = problem(n_unknown)
        method.fit(**data)
        assert torch.isfinite(method.logits(data["target_features"])).all()
        assert any("balance" in record for record in method.history_) == bool(n_unknown)
