"""A backbone whose cosines to texts are k times smaller and whose scale is k times larger."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.methods.data import ClassText
from sreclip.methods.scores import ImageScores
from sreclip.train.fits import score_target
from tests.methods.conftest import SCALE
from tests.methods.test_methods import make

# Mini's logit scale times this is CLIP's.
TIMES = 8.8
INVARIANT = [
    "zero_shot",
    "class_bias",
    "frolic",
    "transclip",
    "linear_probe",
    "tip_adapter",
    "tip_adapter_f",
    "ecalp",
]
# ADAPT, InMaP and StatA compare images with class vectors as vectors, where the constant part of a
# text counts; GDA's shrinkage knows the number of dimensions; ZLaP divides a factor of all cosines
# to texts out, but for an image's degree.
NEARLY_INVARIANT = ["adapt", "gda", "inmap", "stata", "zlap"]


def images(features: Tensor) -> Tensor:
    """Images have nothing in the new dimension: their cosines to each other stay."""
    return F.pad(features, (0, 1))


def texts(features: Tensor) -> Tensor:
    """Texts lie mostly along the new dimension: their cosines to images are divided."""
    constant = torch.full((len(features), 1), (1 - TIMES**-2) ** 0.5)
    return torch.cat([features / TIMES, constant], dim=1)


@pytest.fixture
def rescaled(problem: dict[str, Any]) -> dict[str, Any]:
    text, graph = problem["text"], problem["graph"]
    return {
        **problem,
        "source_features": images(problem["source_features"]),
        "target_features": images(problem["target_features"]),
        "text": ClassText(texts(text.features), TIMES * SCALE, text.known),
        "graph": replace(graph, node_features=texts(graph.node_features)),
    }


@pytest.mark.parametrize("name", INVARIANT)
@pytest.mark.parametrize("steps", [(), ("class_bias",), ("frolic", "transclip", "zlap")])
def test_the_scale_of_the_backbone_changes_nothing(
    name: str, steps: tuple[str, ...], problem: dict[str, Any], rescaled: dict[str, Any]
) -> None:
    before, after = (scores(name, given, steps) for given in (problem, rescaled))
    np.testing.assert_array_equal(before.top_class, after.top_class)
    np.testing.assert_allclose(before.confidence, after.confidence, atol=2e-4)
    # It is a change that could be seen: at a scale of its own the same logits give other answers.
    text = replace(rescaled["text"], logit_scale=SCALE)
    other = scores(name, rescaled | {"text": text}, steps)
    # ECALP knows neighbours alone.
    assert name == "ecalp" or abs(other.confidence - before.confidence).max() > 0.05


@pytest.mark.parametrize("name", NEARLY_INVARIANT)
def test_or_next_to_nothing(name: str, problem: dict[str, Any], rescaled: dict[str, Any]) -> None:
    before, after = (scores(name, given) for given in (problem, rescaled))
    agree = before.top_class[:, 0] == after.top_class[:, 0]
    assert agree.mean() > 0.9


def scores(name: str, given: dict[str, Any], steps: tuple[str, ...] = ()) -> ImageScores:
    return score_target(make(name, refine=steps).fit(**given), given["target_features"])
