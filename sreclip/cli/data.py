"""``sreclip data``: the images of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sreclip.cli.app import DEFAULT_PARAMS, LOOKS, Json, ParamsFile, app, plan_of
from sreclip.errors import ConfigError

data_app = typer.Typer(help="Check the images of a benchmark.", no_args_is_help=True)
app.add_typer(data_app, name="data", rich_help_panel=LOOKS)


@data_app.command("check")
def data_check(
    task: Annotated[str, typer.Argument(help="A benchmark, such as i2awa.", metavar="TASK")],
    root: Annotated[
        Path | None, typer.Option(help="Data root; without it what --params says.", metavar="DIR")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Source domain, of sets of several.")] = None,
    target: Annotated[str | None, typer.Option(help="Target domain, of sets of several.")] = None,
    mini: Annotated[bool | None, typer.Option("--mini", help="miniDomainNet's classes.")] = None,
    source_folder: Annotated[
        str | None, typer.Option(help="Where the source lies below the root.")
    ] = None,
    target_folder: Annotated[
        str | None, typer.Option(help="Where the target lies below the root.")
    ] = None,
    source_list: Annotated[
        list[str] | None, typer.Option(help="A list of source pictures with class numbers.")
    ] = None,
    target_list: Annotated[
        list[str] | None, typer.Option(help="A list of target pictures with class numbers.")
    ] = None,
    synsets: Annotated[
        str | None, typer.Option(help="The file that says which WordNet id a number means.")
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: Json = False,
) -> None:
    """Hold a benchmark's pictures against what was published, and do nothing else."""
    import json

    from rich.console import Console

    from sreclip.config import parse_params
    from sreclip.data.benchmarks.survey import survey
    from sreclip.data.benchmarks.view import render, to_json
    from sreclip.data.tasks import load_benchmark

    benchmark_of = load_benchmark(task)
    options: dict[str, Any] = {
        "source": source,
        "target": target,
        "mini": mini,
        "source_folder": source_folder,
        "target_folder": target_folder,
        "source_list": source_list,
        "target_list": target_list,
        "synsets": synsets,
    }
    given = {name: value for name, value in options.items() if value}
    if root is not None:
        values = {"task": {"name": task, task: {"root": str(root), **given}}}
        settings = parse_params(values, "options").task.settings
    else:
        section = plan_of(params).params.task
        if section.name != task:
            raise ConfigError(
                f"--root is missing, and {params} is about the task {section.name!r}",
                f"sreclip data check {task} --root DIR",
            )
        settings = section.settings | given
    found = survey(benchmark_of(settings), settings)
    if as_json:
        print(json.dumps(to_json(found), indent=2, ensure_ascii=False))
    else:
        Console().print(render(found))
    if found.problems or any(found.differences()):
        raise typer.Exit(1)
