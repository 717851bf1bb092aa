"""Made-up features of a tiny task: four classes around four directions, two of them unknown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sreclip.config.load import parse_params
from sreclip.data.prepare import prepare_data
from sreclip.features.planned import extract_names, extract_shard
from sreclip.graph.build import build_graph
from sreclip.plan.plan import Plan

CLASSES = {"cat": "n02121620", "dog": "n02084071", "horse": "n02374451", "car": "n02958343"}
WIDTH = 16


def made_up(seed: int, per_class: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows around the directions of the classes, class by class, and their labels."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    rows = np.eye(len(CLASSES), WIDTH)[labels] + 0.2 * generator.normal(size=(len(labels), WIDTH))
    return (scale * rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("f4"), labels


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of a task, as a plain pair of arrays per domain."""
    folder = tmp_path / "made"
    folder.mkdir()
    for seed, domain in enumerate(("source", "target")):
        rows, labels = made_up(seed, 10)
        np.save(folder / f"{domain}.npy", rows)
        np.save(folder / f"{domain}_labels.npy", labels)
    np.save(folder / "text.npy", np.eye(len(CLASSES), WIDTH, dtype="f4"))
    lines = ["name,wnid", *(f"{name},{wnid}" for name, wnid in CLASSES.items())]
    (folder / "classes.csv").write_text("\n".join(lines) + "\n")
    return folder


MakePlan = Callable[..., Plan]


@pytest.fixture
def plan_of(root: Path, tmp_path: Path) -> MakePlan:
    """Prepare the task with other settings of it, and return its plan."""

    def make(*, prepare: bool = True, sections: dict[str, Any] | None = None, **own: Any) -> Plan:
        settings = {"root": str(root), "text": "text.npy", "target_labels": "target_labels.npy"}
        values = {
            "task": {"name": "ready_features", "ready_features": settings | own, "shard_size": 8},
            "backbone": {"name": "precomputed", "precomputed": {"made_by": "made up"}},
            "split": {"unknown": ["horse", "car"]},
            "methods": {"run": ["zero_shot", "transclip", "sre_clip"], "sre_clip": {"steps": 5}},
            "train": {"seeds": [0]},
        }
        plan = Plan(parse_params(values | (sections or {})), tmp_path)
        if prepare:
            prepare_plan(plan)
        return plan

    return make


def prepare_plan(plan: Plan) -> dict[str, Any]:
    task = plan.params.task
    return prepare_data(
        task.name,
        task.settings,
        plan.task.path,
        shard_size=task.shard_size,
        duplicates=task.duplicates,
        hash_cache=plan.hash_cache,
    )


@pytest.fixture
def extract() -> Callable[[Plan], None]:
    """Make all that a fit reads."""

    def run(plan: Plan) -> None:
        build_graph(plan)
        for shard in plan.shards:
            extract_shard(plan, shard.key)
        for kind in ("classes", "nodes"):
            extract_names(plan, kind)

    return run
