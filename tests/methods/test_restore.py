"""Saved states score images as the fitted methods do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load, save

from sreclip.methods import METHODS
from sreclip.methods.base import Method
from sreclip.refinement import Refinement
from sreclip.refinement.refine import (
    refine,
    restored_steps,
    score_others,
    step_tensors,
)
from tests.methods.test_methods import CLASSES, make, problem  # noqa: F401 - a fixture

CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in METHODS),
    ("sre_clip", {"steps": 0}),
    ("sre_clip", {"steps": 0, "trust": 0.0}),
    ("sre_clip", {"attention": False}),
    ("adapt", {"temperature": 7.0}),
    ("ecalp", {"balanced": False}),
    ("zero_shot", {"calibration": "class_prior"}),
]


def stored(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors as they come out of a file."""
    return load(
        save({name: value.detach().contiguous().clone() for name, value in tensors.items()})
    )


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_restored_method_scores_as_the_fitted_one(
    name: str,
    settings: dict[str, Any],
    problem: dict[str, Any],  # noqa: F811
) -> None:
    target = problem["target_features"]
    fitted = make(name, **settings).fit(**(problem | {"target_features": target[::2]}))
    state = stored(fitted.state())
    restored = type(fitted)(fitted.settings).restore(state, problem["text"])
    torch.testing.assert_close(restored.logits(target[1::2]), fitted.logits(target[1::2]))
    assert restored.logits(target[:0]).shape[0] == 0


def test_a_state_without_a_tensor_is_no_state(problem: dict[str, Any]) -> None:  # noqa: F811
    fitted = make("gda").fit(**problem)
    state = fitted.state()
    del state["alpha"]
    with pytest.raises(KeyError, match="alpha"):
        type(fitted)(fitted.settings).restore(state, problem["text"])


@pytest.mark.parametrize("step", get_args(Refinement))
def test_restored_steps_score_as_those_of_the_fit(
    step: Refinement,
    problem: dict[str, Any],  # noqa: F811
) -> None:
    steps: list[Refinement] = ["class_bias", step]
    method: Method = make("zero_shot").fit(**problem)
    target, others = problem["target_features"][::2], problem["target_features"][1::2]
    text = replace(problem["text"])
    _, states = refine(steps, target, text, method.logit_blocks(target))
    again = restored_steps(steps, stored(step_tensors(steps, states)))
    wanted, found = (
        torch.cat(
            [b.logits for b in score_others(each, others, method.logit_blocks(others), CLASSES)]
        )
        for each in (states, again)
    )
    torch.testing.assert_close(found, wanted)
