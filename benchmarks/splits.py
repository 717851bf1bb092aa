"""The splits of a sweep, as fits see them, with the labels that judge.

Scripts take files of parameters; ``FILE:reversed`` is one with its domains the other way round.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sreclip.config import load_params
from sreclip.config.methods import METHOD_NAMES
from sreclip.data.manifest import read_target_labels
from sreclip.errors import SreclipError
from sreclip.plan.plan import Plan
from sreclip.plan.sweep import Sweep
from sreclip.train.fits import FitInputs
from sreclip.train.inputs import load_inputs

REVERSED = ":reversed"


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


def plan_of(file: str) -> Plan:
    """Return the plan of a file of parameters, ``:reversed`` after its name or not."""
    return Plan(load_params(Path(file.removesuffix(REVERSED))))


def splits_of(file: str) -> list[Split]:
    """Return every split of a file's sweep."""
    found = [Split.of(each) for each in plans_of(plan_of(file))]
    return _reversed(found) if file.endswith(REVERSED) else found


def method_names(text: str) -> list[str]:
    """Return the methods of a list with commas, for an argument of a parser."""
    names = text.split(",")
    if unknown := set(names) - set(METHOD_NAMES):
        raise argparse.ArgumentTypeError(f"no such method: {', '.join(sorted(unknown))}")
    return names


def parser_of_splits(text: str) -> argparse.ArgumentParser:
    """Return the parser of a script that looks at ``splits`` of ``files``; see `some_splits`."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--splits", type=int, help="look at so many splits of a set only")
    return parser


def some_splits(parser: argparse.ArgumentParser, file: str, most: int | None) -> list[Split]:
    """Return at most so many splits of a file, evenly spaced; end where it cannot be read."""
    try:
        splits = splits_of(file)
    except SreclipError as error:
        parser.error(str(error))
    return splits[:: max(1, len(splits) // (most or len(splits)))][:most]


def _reversed(splits: list[Split]) -> list[Split]:
    """Return splits whose source is the target, and the other way round.

    Source images of a split's unknown classes come from the other splits.
    """
    features: dict[int, torch.Tensor] = {}
    for split in splits:
        for number in split.inputs.source_labels.unique().tolist():
            rows = split.inputs.source_labels == number
            features.setdefault(number, split.inputs.source_features[rows])
    target = torch.cat([features[number] for number in sorted(features)])
    labels = np.repeat(sorted(features), [len(features[number]) for number in sorted(features)])
    found = []
    for split in splits:
        kept = torch.from_numpy(split.known[split.labels])
        source = split.inputs.target_features[kept], torch.from_numpy(split.labels)[kept]
        found.append(split.with_source(*source).with_target(target, labels))
    return found
