"""The methods that label the target of their fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sreclip.errors import FitError
from sreclip.methods.adapt import Adapt
from sreclip.methods.base import Method
from sreclip.methods.class_bias import ClassBias
from sreclip.methods.frolic import Frolic
from sreclip.methods.gda import Gda
from sreclip.methods.inmap import InMap
from sreclip.methods.logits import Block, assemble
from sreclip.methods.stata import StatA
from sreclip.methods.transclip import TransClip
from sreclip.methods.zlap import Zlap
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.transclip import transclip
from sreclip.refinement.zlap import normalized_graph, solve_blocks
from tests.methods.conftest import CLASSES, frozen


def test_transclip_is_the_refinement_of_zero_shot(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    block = Block(torch.arange(len(target)), torch.arange(CLASSES), frozen(problem))
    refined, _ = transclip(target, Candidates.from_blocks([block], len(target), CLASSES))
    logits = TransClip().fit(**problem).logits(target)
    torch.testing.assert_close(logits.softmax(dim=1), refined.log_p.exp())


def test_zlap_gives_the_propagated_scores(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    graph = normalized_graph(target, problem["text"].features, k=3, gamma=2.0)
    blocks = solve_blocks(graph, CLASSES, alpha=0.6)
    logits = Zlap(k=3, gamma=2.0, alpha=0.6).fit(**problem).logits(target)
    torch.testing.assert_close(logits, assemble(blocks, len(target), CLASSES))


@pytest.mark.parametrize("cls", [TransClip, StatA, ClassBias, Frolic, Adapt, InMap, Gda])
def test_other_images_are_scored_by_the_state(cls: type[Method], problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    fitted = cls().fit(**(problem | {"target_features": target[::2]}))
    logits = fitted.logits(target[1::2])
    wanted = torch.arange(45)[1::2] % CLASSES
    frozen_right = (frozen(problem)[1::2].argmax(dim=1) == wanted).sum()
    assert (logits.argmax(dim=1) == wanted).sum() >= frozen_right - 1
    assert torch.isfinite(logits).all()
    # One image at a time gives the same: no image depends on the others.
    torch.testing.assert_close(fitted.logits(target[1:2]), logits[:1])
    state = fitted.state()
    assert sum(value.numel() for value in state.values()) < 4 * CLASSES * target.shape[1]


def test_other_images_are_refused_without_a_state(problem: dict[str, Any]) -> None:
    method = Zlap().fit(**problem)
    target = problem["target_features"]
    assert torch.equal(method.logits(target.clone()), method.logits(target))
    for other in (target[:1], target.flip(0), target.double(), problem["source_features"]):
        with pytest.raises(FitError, match="only the 45 target images of its fit"):
            method.logits(other)
