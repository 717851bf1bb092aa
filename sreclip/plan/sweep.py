"""The sweep: methods x splits x variants of their settings, each one fit and one evaluation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sreclip.config.methods import Settings
from sreclip.config.models import SplitSettings, SweepSettings
from sreclip.errors import ConfigError
from sreclip.keys import content_key
from sreclip.plan.code import ENTRIES, code_key
from sreclip.plan.kept import kept
from sreclip.plan.plan import Plan
from sreclip.plan.results import Result

AS_CONFIGURED = "as configured"
NOTHING_OFF = "nothing"
EVERYTHING_OFF = "all of these"


@dataclass(frozen=True)
class Combination:
    """One fit and evaluation of a sweep: a method, a split and a variant, over all seeds."""

    method: str
    unknown: tuple[str, ...]  # unknown classes of the split
    variant: str  # what was changed in the settings, for a reader
    ablated: str  # which part is switched off; empty outside an ablation
    plan: Plan  # parameters with the split and the settings of this combination


class Sweep:
    """The ``sweep`` section of a plan of a prepared task; without one, the methods of the run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.settings = plan.params.sweep

    @cached_property
    def combinations(self) -> list[Combination]:
        """The jobs, splits outermost; `ConfigError` for a split that cannot be."""
        return [
            Combination(
                method=name,
                unknown=tuple(plan.unknown),
                variant=variant,
                ablated=ablated,
                plan=_narrowed(plan, name, settings),
            )
            for plan in self._splits()
            for name in self._methods()
            for variant, ablated, settings in self._variants(name)
        ]

    def _methods(self) -> list[str]:
        ablate = self.settings.ablate
        methods = self.settings.methods or ([] if ablate else self.plan.params.methods.run)
        return list(dict.fromkeys([*methods, *ablate]))

    def _splits(self) -> list[Plan]:
        plan, sweep = self.plan, self.settings
        names = [entry.name for entry in plan.classes]
        size = sweep.size or int((~plan.known).sum())
        for key, value in (("every", sweep.every), ("size", size * bool(sweep.draws))):
            if value >= len(names):
                raise ConfigError(
                    f"sweep.{key}: {value} of {len(names)} classes asked for",
                    "at least one class must be known",
                )
        pairs = itertools.combinations(names, sweep.every) if sweep.every else []
        splits = [
            *(SplitSettings(unknown=chosen) for chosen in sweep.unknown),
            *(SplitSettings(unknown=list(chosen)) for chosen in pairs),
            *(
                SplitSettings(unknown=size, seed=sweep.first_draw + draw)
                for draw in range(sweep.draws)
            ),
        ]
        return [plan.changed(split=split) for split in splits] or [plan]

    def _variants(self, name: str) -> Iterator[tuple[str, str, Settings]]:
        """Label, part switched off, and settings."""
        settings = self.plan.params.methods.settings(name)
        if name in self.settings.methods or name not in self.settings.ablate:
            for overrides in self.settings.variants.get(name, [{}]):
                label = ", ".join(f"{key} {value}" for key, value in overrides.items())
                yield label or AS_CONFIGURED, "", settings.changed(overrides)
        if name in self.settings.ablate:
            for part, overrides in ablations(settings).items():
                yield f"without {part}", part, settings.changed(overrides)

    @cached_property
    def table(self) -> Result:
        """The tidy table of all combinations."""
        evaluations = [item.plan.evaluation(item.method) for item in self.combinations]
        rows = [
            [item.variant, item.ablated, evaluation.key]
            for item, evaluation in zip(self.combinations, evaluations, strict=True)
        ]
        key = content_key("sweep", rows, code_key(ENTRIES["sweep"]))
        return Result(
            "sweep",
            self.plan.under("sweeps", key),
            key,
            # Splits drawn twice share their evaluations.
            tuple({evaluation.path: evaluation for evaluation in evaluations}.values()),
            ("sweep.parquet", "sweep.csv"),
            {"combinations": len(rows)},
        )

    def planned(self) -> Iterator[tuple[str, Plan]]:
        """Yield method and plan of every evaluation, those of the run first.

        A sweep with a split that cannot be has none: only who asks for the sweep is told why.
        """
        yield from ((name, self.plan) for name in self.plan.params.methods.run)
        try:
            combinations = self.combinations
        except ConfigError:
            return
        yield from ((item.method, item.plan) for item in combinations)

    def results(self) -> Iterator[Result]:
        """Yield the results of all combinations and the table."""
        for item in self.combinations:
            yield from item.plan.evaluated(item.method)
        yield self.table


def all_results(plan: Plan) -> dict[str, Result]:
    """Return every result of a run, what it keeps, and its sweep by path.

    Of the sweep as far as `Sweep.planned` goes.
    """
    try:
        swept = list(Sweep(plan).results())
    except ConfigError:
        swept = []
    return {result.path.as_posix(): result for result in (*plan.run(), *kept(plan), *swept)}


def ablations(settings: Settings) -> dict[str, dict[str, Any]]:
    """Overrides that switch off nothing, each part that is on, and all of them together."""
    parts = settings.parts
    together = {key: value for overrides in parts.values() for key, value in overrides.items()}
    return {NOTHING_OFF: {}, **parts, EVERYTHING_OFF: together}


def _narrowed(plan: Plan, name: str, settings: Settings) -> Plan:
    """Leave one method in the parameters, so that its job's file holds nothing else."""
    methods = plan.params.methods.model_copy(update={"run": [name], name: settings})
    return plan.changed(methods=methods, sweep=SweepSettings())
