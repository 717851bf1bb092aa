"""Tasks by name, one module per task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sreclip.data.task import Task
from sreclip.registry import load_registered

if TYPE_CHECKING:
    from sreclip.data.benchmarks.task import BenchmarkTask

TASKS: dict[str, str] = {
    "domainnet": "sreclip.data.tasks.domainnet:DomainNet",
    "folder": "sreclip.data.tasks.folder:FolderTask",
    "i2awa": "sreclip.data.tasks.i2awa:I2Awa",
    "i2webv": "sreclip.data.tasks.i2webv:I2Webv",
    "office_home": "sreclip.data.tasks.office_home:OfficeHome",
    "openmoji": "sreclip.data.tasks.openmoji:OpenmojiTask",
    "pacs": "sreclip.data.tasks.pacs:Pacs",
}


def load_task(name: str) -> Task:
    """Make a registered task; raise `ConfigError` if there is none of that name."""
    task: Task = load_registered("task", name, TASKS)()
    return task


def load_benchmarks() -> dict[str, BenchmarkTask]:
    """Make the tasks that are public benchmarks, by name."""
    from sreclip.data.benchmarks.task import BenchmarkTask

    tasks = {name: load_task(name) for name in TASKS}
    return {name: task for name, task in tasks.items() if isinstance(task, BenchmarkTask)}
