"""One fit: what it sees, the method, the scores of the target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sreclip.config.methods import Settings
from sreclip.methods import METHODS
from sreclip.methods.base import Method, Progress, fit_together
from sreclip.methods.data import ClassGraph, ClassText, FitData
from sreclip.methods.logits import Block, collect
from sreclip.methods.scores import ImageScores
from sreclip.refinement.candidates import State
from sreclip.refinement.refine import refine, score_others
from sreclip.registry import load_registered


@dataclass(frozen=True)
class FitInputs:
    """What a fit sees, and what its scores are about; no target label is in it.

    Features are as they are stored, in float16 by default: half the memory of float32, and what
    methods make of them is the same (`sreclip.methods.logits.widened`).
    """

    source_features: torch.Tensor
    source_labels: torch.Tensor
    target_features: torch.Tensor
    target_row_id: NDArray[np.int64]
    target_ok: NDArray[np.bool_]
    text: ClassText
    graph: ClassGraph
    backbone: dict[str, Any]


def make_method(
    name: str, settings: Settings, seed: int, progress: Progress | None = None
) -> Method:
    """Construct a registered method."""
    return load_registered("method", name, METHODS)(settings, seed=seed, progress=progress)


def fit(method: Method, inputs: FitInputs) -> Method:
    """Fit a method on the inputs and return it."""
    return next(fit_seeds([method], inputs))


def fit_seeds(methods: Sequence[Method], inputs: FitInputs) -> Iterator[Method]:
    """Fit methods that differ in their seed alone; yield each when it is fitted.

    As many as `Method.at_once` says are fitted as one batch.
    """
    data = FitData(
        inputs.source_features,
        inputs.source_labels,
        inputs.target_features,
        inputs.text,
        inputs.graph,
    )
    data.check()
    size = methods[0].at_once(data)
    for start in range(0, len(methods), size):
        group = methods[start : start + size]
        fit_together(group, data)
        yield from group


def score_target(method: Method, features: torch.Tensor) -> ImageScores:
    """Score the target features of a fit, refined as the method's settings say."""
    return refined_target(method, features)[0]


def refined_target(method: Method, features: torch.Tensor) -> tuple[ImageScores, list[State]]:
    """Score as `score_target`, and return the states of the refinements, in their order."""
    with torch.inference_mode():
        blocks, states = refined_blocks(method, features)
        return collect(blocks, len(features), method.text_.known), states


def refined_blocks(method: Method, features: torch.Tensor) -> tuple[Iterable[Block], list[State]]:
    """Return the refined logits of the target of a fit, and the states of the refinements."""
    settings, blocks = method.settings, method.logit_blocks(features)
    if not settings.refine:
        return blocks, []
    adapted, text = method.image_features(features), method.anchors()
    return refine(settings.refine, adapted, text, blocks, settings.neighbours)


def others_blocks(
    method: Method, states: Sequence[State], features: torch.Tensor
) -> Iterable[Block]:
    """Return the logits of other images, refined by the states of the fit's refinements."""
    blocks = method.logit_blocks(features)
    if not states:
        return blocks
    n_classes = len(method.text_.features)
    return score_others(states, method.image_features(features), blocks, n_classes)
