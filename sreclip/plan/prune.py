"""Remove results that the present parameters do not lead to."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from sreclip.errors import ConfigError
from sreclip.plan.plan import Plan
from sreclip.plan.sweep import Sweep
from sreclip.registry import unknown_name

STAGES = ("data", "graph", "features", "models", "evaluations", "comparisons", "pages", "sweeps")


def prune(plan: Plan, stages: Iterable[str]) -> list[Path]:
    """Remove what lies in the folders of ``stages`` and is not of this plan.

    DVC's stages call this, so that their outputs are decided by the parameters alone; older
    results stay in DVC's cache.

    Returns
    -------
    list of Path
        What was removed.

    Raises
    ------
    ConfigError
        A stage that is none of `STAGES`.
    """
    removed = []
    for stage in stages:
        if stage not in STAGES:
            raise ConfigError(unknown_name("stage", stage, dict.fromkeys(STAGES, "")))
        root = plan.results / stage
        keep = {path.resolve() for path in wanted(plan, stage)}
        removed += _remove_others(root, keep) if root.exists() else []
    return removed


def wanted(plan: Plan, stage: str) -> list[Path]:
    """Files and folders of one stage that the plan names."""
    sweep = Sweep(plan)
    return {
        "data": lambda: [plan.task_dir],
        "graph": lambda: [plan.graph_dir],
        "features": plan.all_features,
        "models": lambda: [fit.model_dir(name) for (name, _), fit in sweep.fits.items()],
        "evaluations": lambda: [
            evaluated.evaluation_dir(name) for (name, _), evaluated in sweep.evaluations.items()
        ],
        "comparisons": lambda: [plan.comparison_dir],
        "pages": lambda: [plan.page.parent],
        "sweeps": lambda: [sweep.table.parent],
    }[stage]()


def _remove_others(folder: Path, keep: set[Path]) -> list[Path]:
    removed = []
    for path in sorted(folder.iterdir()):
        full = path.resolve()
        if full in keep:
            continue
        if path.is_dir() and any(full in kept.parents for kept in keep):
            removed += _remove_others(path, keep)
        elif path.is_dir():
            shutil.rmtree(path)
            removed.append(path)
        else:
            path.unlink()
            removed.append(path)
    return removed
