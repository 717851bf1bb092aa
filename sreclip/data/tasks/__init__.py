"""Tasks: where the pictures and the classes come from. One module a task."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from sreclip.registry import load_registered

if TYPE_CHECKING:
    from sreclip.data.manifest import TaskData

Prepare: TypeAlias = "Callable[[Mapping[str, Any], Path], TaskData]"

TASKS: dict[str, str] = {
    "folder": "sreclip.data.tasks.folder:prepare",
    "openmoji": "sreclip.data.tasks.openmoji:prepare",
}


def load_task(name: str) -> Prepare:
    """Import the function that lists a task's pictures and classes.

    Raises
    ------
    ConfigError
        The task is not registered; names the nearest that is.
    """
    prepare: Prepare = load_registered("task", name, TASKS)
    return prepare


def task_inputs(name: str, settings: Mapping[str, Any]) -> list[Path]:
    """Files and folders whose modification time tells that a task must be prepared again.

    A task module names them in a function ``inputs``; the demo, whose pictures come from a
    pinned package, has none.

    Raises
    ------
    DataError
        The task's folders are missing.
    """
    inputs = getattr(_module(name), "inputs", None)
    return inputs(settings) if inputs else []


def expected_classes(name: str, settings: Mapping[str, Any]) -> dict[str, int]:
    """Class names of a task before it is prepared, with 0 for those without source pictures.

    Raises
    ------
    DataError
        The task's folders or its class list cannot be used.
    """
    classes: dict[str, int] = _module(name).expected_classes(settings)
    return classes


def _module(name: str) -> ModuleType:
    return importlib.import_module(TASKS[name].partition(":")[0])
