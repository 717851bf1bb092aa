"""What `sre_clip` promises."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.methods.test_methods import make, problem

__all__ = ["problem"]


def test_before_the_first_step_it_is_zero_shot(problem: dict[str, Any]) -> None:
    method = make("sre_clip", steps=0, rounds=0, calibration="zero_shot").fit(**problem)
    target = problem["target_features"]
    torch.testing.assert_close(
        method.logits(target), problem["text"].zero_shot_logits(target), rtol=1e-5, atol=1e-4
    )


TERMS = (
    "source",
    "relation",
    "rank",
    "retention",
    "unknown_retention",
    "anchor",
    "self_training",
    "entropy",
    "diversity",
    "balance",
)


@pytest.mark.parametrize("term", TERMS)
def test_each_term_can_be_switched_on_and_off(term: str, problem: dict[str, Any]) -> None:
    everything = dict.fromkeys(TERMS, 1.0)
    with_all = make("sre_clip", **everything).fit(**problem)
    without = make("sre_clip", **everything | {term: 0.0}).fit(**problem)
    assert any(term in record for record in with_all.history_)
    assert not any(term in record for record in without.history_)
    target = problem["target_features"]
    assert not torch.equal(with_all.logits(target), without.logits(target))


def test_attention_can_be_switched_off(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    one, two = (
        make("sre_clip", attention=on).fit(**problem).logits(target) for on in (True, False)
    )
    assert not torch.equal(one, two)
