"""bGCN: pieces against plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sreclip.methods.bgcn import Bgcn, tie_loss
from sreclip.methods.data import FitData
from sreclip.methods.gcn_zsl import GcnZsl
from sreclip.methods.uodtn import Uodtn
from tests.methods.conftest import CLASSES, KNOWN, SMALL, terms_in_numpy


def test_tie_loss_in_numpy() -> None:
    e, w = np.random.default_rng(0).normal(size=(2, CLASSES, 3))
    known = KNOWN.numpy()
    expected = ((e - w)[known] ** 2).sum() / 6 + ((e - w)[~known] ** 2).sum() / 4
    assert tie_loss(torch.tensor(e), torch.tensor(w), KNOWN).item() == pytest.approx(expected)
    everything = torch.ones(CLASSES, dtype=torch.bool)
    value = tie_loss(torch.tensor(e), torch.tensor(w), everything).item()
    assert value == pytest.approx(((e - w) ** 2).sum() / 10)


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
