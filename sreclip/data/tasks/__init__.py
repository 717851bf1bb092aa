"""Tasks: where the pictures and the classes come from. One module a task."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sreclip.errors import ConfigError
from sreclip.registry import load_registered, unknown_name

if TYPE_CHECKING:
    from sreclip.data.benchmarks.spec import Benchmark
    from sreclip.data.benchmarks.task import BenchmarkTask
    from sreclip.data.manifest import TaskData

Prepare: TypeAlias = "Callable[[Mapping[str, Any], Path], TaskData]"

TASKS: dict[str, str] = {
    "domainnet": "sreclip.data.tasks.domainnet:prepare",
    "folder": "sreclip.data.tasks.folder:prepare",
    "i2awa": "sreclip.data.tasks.i2awa:prepare",
    "i2webv": "sreclip.data.tasks.i2webv:prepare",
    "office_home": "sreclip.data.tasks.office_home:prepare",
    "openmoji": "sreclip.data.tasks.openmoji:prepare",
    "pacs": "sreclip.data.tasks.pacs:prepare",
}
BENCHMARKS = ("domainnet", "i2awa", "i2webv", "office_home", "pacs")


def load_task(name: str) -> Prepare:
    """Import the function that lists a task's pictures and classes.

    Raises
    ------
    ConfigError
        The task is not registered; names the nearest that is.
    """
    prepare: Prepare = load_registered("task", name, TASKS)
    return prepare


def load_benchmark(name: str) -> Callable[[Mapping[str, Any]], Benchmark]:
    """Import the function that gives the benchmark that a task's settings mean.

    Raises
    ------
    ConfigError
        There is no such benchmark; names the nearest.
    """
    if name not in BENCHMARKS:
        raise ConfigError(unknown_name("benchmark", name, BENCHMARKS))
    task: BenchmarkTask = importlib.import_module(TASKS[name].partition(":")[0]).TASK
    return task.benchmark_of


@dataclass(frozen=True)
class FirstLook:
    """What a task tells before it is prepared.

    Attributes
    ----------
    inputs : list of Path
        Files and folders whose modification time tells that it must be prepared again. The
        demo, whose pictures come from a pinned package, has none.
    classes : dict or None
        Class names, with 0 for those without source pictures; None when only the preparation
        can tell.
    """

    inputs: list[Path]
    classes: dict[str, int] | None


def first_look(name: str, settings: Mapping[str, Any], folder: Path) -> FirstLook:
    """Look at a task without reading pictures: what it depends on, and its classes.

    Parameters
    ----------
    name : str
        A name in `TASKS`.
    settings : Mapping
        The task's own settings.
    folder : Path
        Where the task's files are, if it was prepared before.

    Raises
    ------
    DataError
        The task's folders or its class list cannot be used.
    """
    look: FirstLook = importlib.import_module(TASKS[name].partition(":")[0]).first_look(
        settings, folder
    )
    return look


def is_as_pulled(name: str, settings: Mapping[str, Any], folder: Path, hash_cache: Path) -> bool:
    """Whether times mean nothing for a task, since it was prepared elsewhere and is the same here.

    After a clone and a pull every folder may be newer than the manifest that was made from it.
    Then names and sizes tell whether pictures came or went.

    Parameters
    ----------
    name, settings, folder
        As in `first_look`.
    hash_cache : Path
        What a preparation on this machine leaves; from then on times count.

    Raises
    ------
    DataError
        As `first_look`.
    """
    from sreclip.data.manifest import MANIFEST_FILE

    if hash_cache.exists() or not (folder / MANIFEST_FILE).exists():
        return False
    task = importlib.import_module(TASKS[name].partition(":")[0])
    return bool(task.is_as_prepared(settings, folder))
