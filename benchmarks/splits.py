"""The splits of a sweep, as fits see them, with the labels that judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from sreclip.data.manifest import read_target_labels
from sreclip.plan.plan import Plan
from sreclip.plan.sweep import Sweep
from sreclip.train.fits import FitInputs
from sreclip.train.inputs import load_inputs


def plans_of(plan: Plan, most: int | None = None) -> list[Plan]:
    """Return a plan per choice of unknown classes, the first ``most``."""
    plans = {item.unknown: item.plan for item in Sweep(plan).combinations}
    return list(plans.values())[:most]


class Split:
    """One choice of unknown classes: the fit's inputs and the target's labels."""

    def __init__(
        self, inputs: FitInputs, labels: NDArray[np.int64], known: NDArray[np.bool_]
    ) -> None:
        self.inputs, self.labels, self.known = inputs, labels, known

    def with_target(self, features: torch.Tensor, labels: NDArray[np.int64]) -> Split:
        """Return the split with other target images, all of them readable."""
        inputs = replace(
            self.inputs,
            target_features=features,
            target_row_id=np.arange(len(features)),
            target_ok=np.ones(len(features), dtype=bool),
        )
        return Split(inputs, labels, self.known)

    def with_source(self, features: torch.Tensor, labels: torch.Tensor) -> Split:
        """Return the split with other source images."""
        inputs = replace(self.inputs, source_features=features, source_labels=labels)
        return Split(inputs, self.labels, self.known)

    @classmethod
    def of(cls, plan: Plan) -> Split:
        """Read the split of a plan."""
        inputs = load_inputs(plan)
        row_id = inputs.target_row_id[inputs.target_ok]
        return cls(inputs, read_target_labels(plan.task.path, row_id), plan.known)
