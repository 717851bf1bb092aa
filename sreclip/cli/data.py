"""``sreclip data``: the images of a benchmark."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sreclip.cli.app import DEFAULT_PARAMS, Json, ParamsFile, data_app, plan_of
from sreclip.config.options import with_benchmark_options
from sreclip.errors import ConfigError


@data_app.command("check")
@with_benchmark_options
def data_check(
    task: Annotated[str, typer.Argument(help="A benchmark, such as i2awa.", metavar="TASK")],
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Compare a benchmark's images with what was published, and do nothing else.

    Without --root the settings are those of --params.
    """
    import json

    from rich.console import Console

    from sreclip.config import parse_params
    from sreclip.data.benchmarks import BENCHMARKS
    from sreclip.data.benchmarks.spec import benchmark_of
    from sreclip.data.benchmarks.survey import survey
    from sreclip.data.benchmarks.view import render, to_json
    from sreclip.registry import unknown_name

    if task not in BENCHMARKS:
        raise ConfigError(unknown_name("benchmark", task, BENCHMARKS))
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
        print(json.dumps(to_json(found), indent=2, ensure_ascii=False))
    else:
        Console().print(render(found))
    if found.problems or any(found.differences()):
        raise typer.Exit(1)
