"""Bundles: small fits and evaluations that one job makes, one after the other.

A process takes seconds to start, a small fit less. What is missing is cut into bundles of about
equal cost, and a fit that alone takes as long as a bundle keeps a job of its own. Nothing else
depends on how the cut was made: each result is at its own path, under its own key.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sreclip.errors import ConfigError, StoreError, some
from sreclip.files import read_json, write_json
from sreclip.keys import content_key
from sreclip.plan.costs import evaluation_seconds, fit_seconds
from sreclip.plan.plan import Plan
from sreclip.plan.results import Result
from sreclip.plan.sweep import Sweep

# A bundle is not cut in two, to keep another core busy, if a part would take less than this.
LEAST_SECONDS = 10.0


@dataclass(frozen=True)
class Piece:
    """A fit or an evaluation of a run or its sweep, and the plan that it is part of."""

    method: str
    plan: Plan
    result: Result

    @cached_property
    def seconds(self) -> float:
        """About how long it takes."""
        if self.result.stage == "fit":
            return fit_seconds(self.plan, self.method)
        return evaluation_seconds(self.plan)

    @property
    def path(self) -> str:
        """Where the result is, as lists of bundles name it."""
        return self.result.path.as_posix()

    @property
    def label(self) -> str:
        """What it is, for a reader."""
        stage, key = self.result.stage, self.result.key
        return f"{stage} of {self.method} ({key}; unknown: {some(self.plan.unknown)})"

    @property
    def is_made(self) -> bool:
        """Whether all files of the result are there."""
        return all(path.exists() for path in self.result.outputs)


def pieces_of(plan: Plan) -> dict[str, Piece]:
    """Return all fits and evaluations of a run and its sweep by path, each after its inputs."""
    found: dict[str, Piece] = {}
    for method, planned in Sweep(plan).planned():
        for candidate in planned.candidates(method):
            piece = Piece(method, candidate, candidate.fit(method))
            found.setdefault(piece.path, piece)
        piece = Piece(method, planned, planned.evaluation(method))
        found.setdefault(piece.path, piece)
    return found


def plan_of_result(plan: Plan, stage: str, method: str, key: str) -> Plan:
    """Return the plan of one fit or evaluation, of the run or of its sweep; or `ConfigError`."""
    for piece in pieces_of(plan).values():
        if (piece.result.stage, piece.method, piece.result.key) == (stage, method, key):
            return piece.plan
    raise ConfigError(
        f"no {stage} of {method} has the key {key}",
        "the parameters are others than when the key was made; leave --key out",
    )


@dataclass(frozen=True)
class Bundle:
    """Pieces that one job makes, in this order."""

    pieces: tuple[Piece, ...]

    @property
    def name(self) -> str:
        """What is in it, for a reader, and a key of it: ``3-fits-1-evaluation-KEY``."""
        stages = Counter(piece.result.stage for piece in self.pieces)
        counts = [f"{number}-{stage}" + "s" * (number > 1) for stage, number in stages.items()]
        return "-".join([*counts, content_key([piece.path for piece in self.pieces])])

    @property
    def inputs(self) -> tuple[Result, ...]:
        """What the pieces are made from and is in none of them."""
        made = {piece.path for piece in self.pieces}
        inputs = {each.path.as_posix(): each for p in self.pieces for each in p.result.inputs}
        return tuple(each for path, each in inputs.items() if path not in made)


def cut(
    wanted: Iterable[Result], pieces: Mapping[str, Piece], seconds: float, at_once: int
) -> list[Bundle]:
    """Cut what is missing of some fits and evaluations, and of what they are made from.

    ``seconds`` is how long a bundle should take; what alone takes longer is in none. With
    ``at_once`` jobs at a time there are as many bundles, unless they would be very short.
    """
    units: list[list[Piece]] = []
    for result in wanted:
        paths = [each.path.as_posix() for each in (*result.inputs, result)]
        unit = [pieces[path] for path in paths if path in pieces and not pieces[path].is_made]
        if unit and _seconds(unit) <= seconds:
            units.append(unit)
    if not units:
        return []
    total = sum(map(_seconds, units))
    number = max(1, min(at_once, int(total / LEAST_SECONDS)), math.ceil(total / seconds))
    parts: list[list[list[Piece]]] = [[] for _ in range(number)]
    loads = [0.0] * number
    for unit in sorted(units, key=_seconds, reverse=True):
        least = loads.index(min(loads))
        parts[least].append(unit)
        loads[least] += _seconds(unit)
    return [_bundle(part) for part in parts if part]


def _bundle(units: Sequence[Sequence[Piece]]) -> Bundle:
    """Put units of one split beside each other: they read the same source images."""
    in_order = sorted(units, key=lambda unit: unit[0].plan.known.tolist())
    return Bundle(tuple({piece.path: piece for unit in in_order for piece in unit}.values()))


def _seconds(unit: Sequence[Piece]) -> float:
    return sum(piece.seconds for piece in unit)


def write_bundle(bundle: Bundle, path: Path) -> None:
    """Write the paths of a bundle's results, which the job reads."""
    write_json(path, [piece.path for piece in bundle.pieces])


def read_bundle(path: Path, pieces: Mapping[str, Piece]) -> Bundle:
    """Read what `write_bundle` wrote; `StoreError` if a result is not of these parameters."""
    names = read_json(path)
    for name in names if isinstance(names, list) else [names]:
        if not isinstance(name, str) or name not in pieces:
            raise StoreError(
                f"{path} names {name!r}, which is no fit or evaluation of these parameters",
                "run again, which makes a new list (a file of labels or prompts may have changed)",
            )
    return Bundle(tuple(pieces[name] for name in names))
