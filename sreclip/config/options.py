"""Command-line options made from the settings of the benchmarks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from sreclip.config.tasks import BenchmarkSettings, TaskSettings


def with_benchmark_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the keyword arguments of a typer command by one option per benchmark setting.

    An option that is not given is None.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*own, *_options()]
    )
    return command


def _options() -> list[inspect.Parameter]:
    options: dict[str, inspect.Parameter] = {}
    for section in TaskSettings.model_fields.values():
        model = section.annotation
        if not (isinstance(model, type) and issubclass(model, BenchmarkSettings)):
            continue
        for name, field in model.model_fields.items():
            kind = field.annotation if field.annotation in (bool, list[str]) else str
            flag = f"--{name.replace('_', '-')}"  # alone: no --no-mini
            annotation: Any = Annotated[kind | None, typer.Option(flag, help=field.description)]
            options[name] = inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )
    return list(options.values())
