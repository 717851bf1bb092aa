"""Choose a method's settings without target labels, by known classes held out as unknown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sreclip.config.methods import Settings
from sreclip.config.models import SelectionSettings
from sreclip.errors import FitError
from sreclip.evaluate.accuracy import class_mean_h
from sreclip.methods.base import Diverged
from sreclip.methods.held_out import hold_out_classes
from sreclip.plan.plan import Plan
from sreclip.train.fits import FitInputs, fit, make_method, score_target


@dataclass(frozen=True)
class PseudoProblem:
    """A fit in which some known classes count as unknown.

    The held-out source images, whose true classes are ``labels``, are unlabelled ones at the end
    of the target. ``known`` tells which classes are still known.
    """

    inputs: FitInputs
    labels: NDArray[np.int64]
    known: NDArray[np.bool_]


def choose_settings(plan: Plan, name: str, inputs: FitInputs) -> tuple[Settings, dict[str, Any]]:
    """Return the settings to fit with, and a record of the choice for ``fit.json``.

    With the rule ``pseudo_unknown`` each candidate is fitted ``folds`` times with different known
    classes held out. The one with the best mean H of held-out known and pseudo-unknown source
    images wins, the first of equals; a candidate that diverges has none. No target label is read.
    """
    settings = plan.params.methods.settings(name)
    rule = plan.params.train.selection.rule
    candidates = [settings.changed(overrides) for overrides in plan.pseudo_candidates(name)]
    if not candidates:
        return settings, {"rule": rule}
    folds = pseudo_folds(inputs, plan.params.train.selection)
    values: list[float | None] = []
    for candidate in candidates:
        try:
            values.append(float(np.mean([pseudo_h(name, candidate, fold) for fold in folds])))
        except Diverged:
            values.append(None)
    chosen = int(np.argmax([-1.0 if value is None else value for value in values]))
    if values[chosen] is None:
        raise FitError(
            f"{name}: the fits of all {len(candidates)} candidates diverge",
            "list others in train.selection.candidates",
        )
    return candidates[chosen], {
        "rule": rule,
        "candidates": [
            {"settings": candidate.model_dump(), "h": value}
            for candidate, value in zip(candidates, values, strict=True)
        ],
        "chosen": chosen,
    }


def pseudo_folds(inputs: FitInputs, selection: SelectionSettings) -> list[PseudoProblem]:
    """Return problems that differ in what is held out, the same for any features of the images."""
    return [
        pseudo_problem(inputs, selection.holdout, np.random.default_rng([selection.seed, fold]))
        for fold in range(selection.folds)
    ]


def pseudo_problem(inputs: FitInputs, holdout: float, rng: np.random.Generator) -> PseudoProblem:
    """Hold out known classes, and ``holdout`` of the images of others, as `hold_out_classes`."""
    known = inputs.text.known.cpu().numpy()
    if known.sum() < 2:
        raise FitError(
            "train.selection.rule 'pseudo_unknown' needs two known classes, but there is one",
            "set train.selection.rule to 'last'",
        )
    labels = inputs.source_labels.cpu().numpy()
    held, known = hold_out_classes(labels, known, holdout, rng)
    source, text, device = inputs.source_features, inputs.text, inputs.source_labels.device
    mask = torch.from_numpy(held).to(device)
    made = replace(
        inputs,
        source_features=source[~mask],
        source_labels=inputs.source_labels[~mask],
        target_features=torch.cat([inputs.target_features, source[mask]]),
        text=replace(text, known=torch.from_numpy(known).to(device)),
    )
    return PseudoProblem(made, labels[held], known)


def pseudo_h(name: str, settings: Settings, problem: PseudoProblem) -> float:
    """Return H of held-out known and pseudo-unknown images, class means over all classes."""
    inputs, labels = problem.inputs, problem.labels
    method = fit(make_method(name, settings, seed=0), inputs)
    scores = score_target(method, inputs.target_features)[-len(labels) :]
    return class_mean_h(scores, labels, problem.known)
