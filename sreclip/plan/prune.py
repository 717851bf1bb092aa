"""Remove results that the present parameters do not lead to."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from sreclip.plan.kept import kept
from sreclip.plan.plan import Plan
from sreclip.plan.sweep import Sweep
from sreclip.registry import registered

FOLDERS = (
    *("data", "graph", "features", "models", "evaluations", "comparisons", "pages", "kept"),
    "sweeps",
)
# What results of a sweep are in.
SWEPT = {"models", "evaluations", "sweeps"}


def prune(plan: Plan, folders: Iterable[str]) -> list[Path]:
    """Remove what is in some folders of ``results/`` and not of this plan.

    The DVC stages call this, so that the parameters alone decide their outputs; older results stay
    in DVC's cache. Returns what was removed; raises `ConfigError` for a folder that is none of
    `FOLDERS`, or a sweep that cannot be, before anything is removed.
    """
    names = [registered("folder of results", name, FOLDERS) for name in folders]
    roots = [plan.results / name for name in names]
    swept = Sweep(plan).results() if SWEPT & set(names) else ()
    keep = {result.path.resolve() for result in (*plan.run(), *kept(plan), *swept)}
    return [path for root in roots if root.exists() for path in _remove_others(root, keep)]


def _remove_others(folder: Path, keep: set[Path]) -> list[Path]:
    removed = []
    for path in sorted(folder.iterdir()):
        full = path.resolve()
        if full in keep:
            continue
        if path.is_dir() and any(full in kept.parents for kept in keep):
            removed += _remove_others(path, keep)
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        removed.append(path)
    return removed
