"""Tasks by name: one module per task, and the public benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sreclip.data.benchmarks import BENCHMARKS
from sreclip.registry import load_registered

if TYPE_CHECKING:
    from sreclip.data.task import Task

_OWN = {
    "folder": "sreclip.data.tasks.folder:FolderTask",
    "openmoji": "sreclip.data.tasks.openmoji:OpenmojiTask",
    "ready_features": "sreclip.data.tasks.ready_features:ReadyFeaturesTask",
}
TASKS = dict(
    sorted((_OWN | dict.fromkeys(BENCHMARKS, "sreclip.data.benchmarks.task:BenchmarkTask")).items())
)


def load_task(name: str) -> Task:
    """Make a registered task; raise `ConfigError` if there is none of that name."""
    kind = load_registered("task", name, TASKS)
    task: Task = kind(name) if name in BENCHMARKS else kind()
    return task
