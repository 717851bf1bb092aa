"""``sreclip data``: the images of a benchmark."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from sreclip.cli.app import DEFAULT_PARAMS, Json, ParamsFile, data_app, plan_of, show, show_json
from sreclip.config.tasks import BenchmarkSettings, TaskSettings
from sreclip.errors import ConfigError


def _with_benchmark_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the keyword arguments of a command by one option per benchmark setting.

    An option that is not given is None.
    """
    options: dict[str, inspect.Parameter] = {}
    for section in TaskSettings.model_fields.values():
        model = section.annotation
        if isinstance(model, type) and issubclass(model, BenchmarkSettings):
            for name, field in model.model_fields.items():
                kind = field.annotation if field.annotation in (bool, list[str]) else str
                flag = f"--{name.replace('_', '-')}"  # alone: no --no-mini
                annotation: Any = Annotated[kind | None, typer.Option(flag, help=field.description)]
                options[name] = inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
                )
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*own, *options.values()]
    )
    return command


@data_app.command("check")
@_with_benchmark_options
def data_check(
    task: Annotated[str, typer.Argument(help="A benchmark, such as i2awa.", metavar="TASK")],
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Compare a benchmark's images with what was published, and do nothing else.

    Without --root the settings are those of --params.
    """
    from sreclip.config import parse_params
    from sreclip.data.benchmarks import BENCHMARKS
    from sreclip.data.benchmarks.spec import benchmark_of
    from sreclip.data.benchmarks.survey import survey
    from sreclip.data.benchmarks.view import render, to_json
    from sreclip.registry import registered

    registered("benchmark", task, BENCHMARKS)
    given = {name: value for name, value in options.items() if value}
    if "root" in given:
        values = {"task": {"name": task, task: given}}
        settings = parse_params(values, "options").task.settings
    else:
        section = plan_of(params).params.task
        if section.name != task:
            raise ConfigError(
                f"--root is missing, and {params} is about the task {section.name!r}",
                f"sreclip data check {task} --root DIR",
            )
        settings = section.settings | given
    found = survey(benchmark_of(task, settings), settings)
    if as_json:
        show_json(to_json(found))
    else:
        show(render(found))
    if found.problems or any(found.differences()):
        raise typer.Exit(1)
