"""The methods that label the target of their fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sreclip.methods.adapt import Adapt
from sreclip.methods.base import Method
from sreclip.methods.class_bias import ClassBias
from sreclip.methods.ecalp import Ecalp
from sreclip.methods.frolic import Frolic
from sreclip.methods.gda import Gda
from sreclip.methods.inmap import InMap
from sreclip.methods.logits import Block, assemble
from sreclip.methods.stata import StatA
from sreclip.methods.transclip import TransClip
from sreclip.methods.zlap import Zlap
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.transclip import transclip
from sreclip.refinement.zlap import zlap
from tests.methods.conftest import CLASSES, frozen


def test_transclip_is_the_refinement_of_zero_shot(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    block = Block(torch.arange(len(target)), torch.arange(CLASSES), frozen(problem))
    refined, _ = transclip(target, Candidates.from_blocks([block], len(target), CLASSES))
    logits = TransClip().fit(**problem).logits(target)
    torch.testing.assert_close(logits.softmax(dim=1), refined.log_p.exp())


def test_zlap_gives_the_propagated_scores(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    found, _ = zlap(target, problem["text"].features, k=3, gamma=2.0, alpha=0.6)
    logits = Zlap(k=3, gamma=2.0, alpha=0.6).fit(**problem).logits(target)
    torch.testing.assert_close(logits, assemble(found.blocks(), len(target), CLASSES))


@pytest.mark.parametrize(
    "cls", [TransClip, StatA, ClassBias, Frolic, Adapt, InMap, Ecalp, Gda, Zlap]
)
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
    if cls not in (Ecalp, Zlap):  # whose states have images of the fit
        state = fitted.state()
        assert sum(value.numel() for value in state.values()) < 4 * CLASSES * target.shape[1]


@pytest.mark.parametrize("cls", [Ecalp, Zlap])
def test_images_of_the_fit_are_known_by_their_features(
    cls: type[Method], problem: dict[str, Any]
) -> None:
    method = cls().fit(**problem)
    target = problem["target_features"]
    logits = method.logits(target)
    assert torch.equal(method.logits(target.clone()), logits)
    assert not torch.equal(method.logits(target.flip(0)), logits.flip(0))
    # Scored as others, they come out nearly the same.
    as_others = method.logits(target.flip(0)).flip(0)
    assert (as_others.argmax(dim=1) == logits.argmax(dim=1)).float().mean() > 0.9
