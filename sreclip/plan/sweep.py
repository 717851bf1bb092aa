"""The sweep: methods x splits x variants of their settings, each one fit and one evaluation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sreclip.config.methods import Settings
from sreclip.config.models import SplitSettings, SweepSettings
from sreclip.errors import ConfigError, StoreError
from sreclip.files import atomic_path, read_keyed
from sreclip.keys import code_key, content_key
from sreclip.plan.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

SWEEP_CODE = ("plan/sweep.py",)
AS_CONFIGURED = "as configured"
NOTHING_OFF = "nothing"
EVERYTHING_OFF = "all of these"
MADE_BY = "snakemake --cores all sweep"


@dataclass(frozen=True)
class Combination:
    """One job of a sweep: a method, a split and the settings of one variant, over all seeds.

    Attributes
    ----------
    method : str
    unknown : tuple of str
        Unknown classes of the split.
    variant : str
        What was changed in the settings, for a reader.
    ablated : str
        Which part is switched off; empty outside an ablation.
    plan : Plan
        Parameters with the split and the settings of this combination.
    """

    method: str
    unknown: tuple[str, ...]
    variant: str
    ablated: str
    plan: Plan


class Sweep:
    """The ``sweep`` section of a plan; without one, the methods of the run itself.

    Parameters
    ----------
    plan : Plan
        Of a prepared task.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.settings = plan.params.sweep

    @cached_property
    def combinations(self) -> list[Combination]:
        """The jobs, splits outermost.

        Raises
        ------
        ConfigError
            A split that cannot be.
        """
        return [
            Combination(
                method=name,
                unknown=_unknown(plan),
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
    def key(self) -> str:
        """Key of the table."""
        rows = [
            [item.variant, item.ablated, item.plan.evaluation_key(item.method)]
            for item in self.combinations
        ]
        return content_key("sweep", rows, code_key(*SWEEP_CODE))

    @property
    def table(self) -> Path:
        """Parquet file; a CSV file of the same rows lies beside it."""
        return self.plan.sweep_dir(self.key) / "sweep.parquet"

    @cached_property
    def evaluations(self) -> dict[tuple[str, str], Plan]:
        """Plan of each evaluation, the run's and the sweep's, by method and key."""
        every = [(name, self.plan) for name in self.plan.params.methods.run] + [
            (item.method, item.plan) for item in self.combinations
        ]
        return {(name, plan.evaluation_key(name)): plan for name, plan in every}

    @cached_property
    def fits(self) -> dict[tuple[str, str], Plan]:
        """Plan of each fit by method and key."""
        return {
            (name, candidate.model_key(name)): candidate
            for (name, _), plan in self.evaluations.items()
            for candidate in plan.candidates(name)
        }


def ablations(settings: Settings) -> dict[str, dict[str, Any]]:
    """Overrides that switch off nothing, each part that is on, and all of them together."""
    parts = settings.parts
    together = {key: value for overrides in parts.values() for key, value in overrides.items()}
    return {NOTHING_OFF: {}, **parts, EVERYTHING_OFF: together}


def _unknown(plan: Plan) -> tuple[str, ...]:
    return tuple(
        entry.name for entry, known in zip(plan.classes, plan.known, strict=True) if not known
    )


def _narrowed(plan: Plan, name: str, settings: Settings) -> Plan:
    """Leave one method in the parameters, so that its job's file holds nothing else."""
    methods = plan.params.methods.model_copy(update={"run": [name], name: settings})
    return plan.changed(methods=methods, sweep=SweepSettings())


def tabulate_sweep(plan: Plan) -> Path:
    """Write the tidy table, one row for each combination, seed and metric.

    Columns: ``task``, ``backbone``, ``method``, ``title``, ``unknown`` (the split, joined by
    ``+``), ``variant``, ``ablated``, ``selection``, ``protocol``, ``seed``, ``metric``,
    ``value``.

    Returns
    -------
    Path
        The Parquet file.

    Raises
    ------
    StoreError
        An evaluation is missing or damaged.
    """
    import pandas as pd

    sweep = Sweep(plan)
    frame = pd.DataFrame([row for item in sweep.combinations for row in _rows(item)])
    path = sweep.table
    with atomic_path(path.with_suffix(".csv")) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)
    return path


def _rows(item: Combination) -> Iterator[dict[str, Any]]:
    path = item.plan.evaluation_dir(item.method) / "evaluation.json"
    evaluation = read_keyed(path, item.plan.evaluation_key(item.method), made_by=MADE_BY)
    about = {
        "task": item.plan.params.task.name,
        "backbone": item.plan.params.backbone.label,
        "method": item.method,
        "title": evaluation["title"],
        "unknown": "+".join(item.unknown),
        "variant": item.variant,
        "ablated": item.ablated,
        "selection": evaluation["selection"],
        "protocol": evaluation["protocol"]["name"],
    }
    for seed, run in zip(evaluation["seeds"], evaluation["runs"], strict=True):
        for metric, value in run.items():
            yield {**about, "seed": seed, "metric": metric, "value": value}


def read_sweep(plan: Plan) -> pd.DataFrame:
    """Read the tidy table of the present ``sweep`` section.

    Raises
    ------
    StoreError
        It was not made yet.
    """
    import pandas as pd

    path = Sweep(plan).table
    if not path.exists():
        raise StoreError(f"{path} is missing", f"make it with: {MADE_BY}")
    return pd.read_parquet(path)
