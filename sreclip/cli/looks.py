"""What people look at: tables, the graph, feature files, where a result comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sreclip.cli.app import (
    DEFAULT_PARAMS,
    LOOKS,
    Json,
    ParamsFile,
    app,
    log,
    plan_of,
    registered_method,
    show,
    show_json,
)
from sreclip.files import set_aside


@app.command(rich_help_panel=LOOKS)
def results(
    params: Annotated[
        Path | None,
        typer.Option("--params", help="Parameters of another run.", metavar="FILE"),
    ] = None,
) -> None:
    """Print the results table of the last run, and where its page is."""
    from sreclip.report.terminal import last_results

    show(last_results(None if params is None else plan_of(params)))


@app.command(rich_help_panel=LOOKS)
def times(
    whole: Annotated[
        bool, typer.Option("--all", help="Of all jobs whose times are kept, not the last run's.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print where the time of the last run went: wall time, CPU time and memory per step."""
    from sreclip.report.times import read_times, times_table

    found = read_times(whole=whole)
    if as_json:
        show_json(found.to_json())
    else:
        show(times_table(found))


@app.command(rich_help_panel=LOOKS)
def table(
    format: Annotated[
        Literal["markdown", "latex", "csv"], typer.Option(help="How it is written.")
    ] = "markdown",
    metrics: Annotated[
        str, typer.Option(help="Columns, such as known,unknown,h,ausuc,ece.")
    ] = "known,unknown,h",
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Print the results as a table for a paper, with intervals, the clear leaders in bold."""
    from sreclip.report.paper import results_table

    wanted = [name.strip() for name in metrics.split(",") if name.strip()]
    print(results_table(plan_of(params), format, wanted), end="")


@app.command(rich_help_panel=LOOKS)
def sweep(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Print methods and variants over the splits of the sweep, and where its table is."""
    from sreclip.plan.sweep import Sweep
    from sreclip.report.sweep import sweep_view

    plan = plan_of(params)
    show(sweep_view(plan), f"All numbers: {Sweep(plan).table['sweep.csv']}")


@app.command(rich_help_panel=LOOKS)
def ablate(
    method: Annotated[str, typer.Argument(help="A method named in sweep.ablate.")] = "sre_clip",
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Print what each part of a method is worth: switched off in turn, and together."""
    from sreclip.report.sweep import ablation_view

    show(ablation_view(plan_of(params), registered_method(method)))


@app.command(rich_help_panel=LOOKS)
def inspect(
    file: Annotated[Path, typer.Argument(help="A cached file (.h5).", metavar="FILE")],
) -> None:
    """Print what a cached HDF5 file holds."""
    from sreclip.features.inspect import render

    show(render(file))


@app.command(rich_help_panel=LOOKS)
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of cached files.")] = Path("results"),
    aside: Annotated[
        bool,
        typer.Option("--set-aside", help="Rename damaged files, so that the next run makes them."),
    ] = False,
) -> None:
    """Check every cached HDF5 file against its checksums."""
    from sreclip.features.verify import verify_tree

    problems, count = verify_tree(folder)
    for problem in problems:
        print(problem.error)
        if aside and not problem.unfinished:
            print(f"  -> set aside as {set_aside(problem.path)}")
    if damaged := sum(not problem.unfinished for problem in problems):
        log.error(
            "%d of %d HDF5 files are damaged\n"
            "  -> what DVC has comes back with: dvc checkout --force results/features",
            damaged,
            count,
        )
    if problems:
        raise typer.Exit(1)
    print(f"{folder}: {count} HDF5 files, all whole")


@app.command(rich_help_panel=LOOKS)
def export_features(
    what: Annotated[
        Literal["source", "target", "classes", "nodes"],
        typer.Argument(help="Images of a domain, or texts.", metavar="DOMAIN"),
    ],
    file: Annotated[Path, typer.Argument(help=".h5, .npy or .safetensors.", metavar="FILE")],
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Write features as one plain file for other programs: source, target, classes or nodes."""
    from sreclip.features.export import export_features as export

    for path in export(plan_of(params), what, file):
        log.info("%s", path)


@app.command(rich_help_panel=LOOKS)
def provenance(
    result: Annotated[
        Path, typer.Argument(help="A file or folder below results/ or reports/.", metavar="RESULT")
    ],
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: Json = False,
) -> None:
    """Print the chain from a result back to the images, and who made each link."""
    from sreclip.provenance.trace import trace
    from sreclip.provenance.view import chain_lines

    chain = trace(result, params)
    if as_json:
        show_json(chain.to_json())
    else:
        print("\n".join(chain_lines(chain)))


@app.command(rich_help_panel=LOOKS)
def diff(
    a: Annotated[str, typer.Argument(help="One run.", metavar="A")],
    b: Annotated[str, typer.Argument(help="The other run.", metavar="B")] = ".",
    every_metric: Annotated[bool, typer.Option("--all", help="Show every metric.")] = False,
    as_json: Json = False,
) -> None:
    """Print what differs between two runs: parameters, data, code, numbers.

    A run is a reports/ folder, a metrics.json, a git revision such as HEAD~1 (. is the working
    folder), or a file of parameters.
    """
    from sreclip.provenance.differences import diff as find_differences
    from sreclip.provenance.differences import render

    found = find_differences(a, b)
    if as_json:
        show_json(found.to_json())
    else:
        show(render(found, every_metric=every_metric))


@app.command(rich_help_panel=LOOKS)
def show_graph(
    params: ParamsFile = DEFAULT_PARAMS,
    graph: Annotated[
        Path | None, typer.Option(help="A graph.json to draw instead of the task's.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write a drawing here: .svg, or .html to explore.")
    ] = None,
) -> None:
    """Draw the class relation graph: as a tree here, or into a file."""
    from sreclip.graph.draw import draw_to_file, text_tree
    from sreclip.graph.relation_graph import RelationGraph

    known = None
    if graph is None:
        plan = plan_of(params)
        graph, known = plan.graph["graph.json"], plan.known
    relation_graph = RelationGraph.load(graph)
    if out is None:
        show(text_tree(relation_graph, known))
    else:
        draw_to_file(relation_graph, out, known)
        print(out)


@app.command(rich_help_panel=LOOKS)
def senses(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Class names, read as one list.", metavar="NAME...", show_default=False
        ),
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: Json = False,
) -> None:
    """Print what class names mean in WordNet: the sense that is taken, and the others.

    Without names: those of the prepared task. A parameter file is not needed for names.
    """
    from sreclip.data.class_names import ListedClass, decode_names
    from sreclip.data.manifest import ClassEntry
    from sreclip.errors import ConfigError
    from sreclip.graph.build import map_classes
    from sreclip.graph.sense_view import render, to_json

    if names and params == DEFAULT_PARAMS and not params.exists():
        from sreclip.config import parse_params

        chosen = parse_params({})
    else:
        if not names and not params.exists():
            raise ConfigError(
                f"no names are given, and {params} is not there", "sreclip senses dog"
            )
        plan = plan_of(params)
        chosen = plan.params
    if names and not all(name.strip() for name in names):
        raise ConfigError("a name is empty", "sreclip senses dog 'polar bear'")
    given = [
        ListedClass(ClassEntry(name, (name,)), name, repr(name))
        for name in dict.fromkeys(names or ())
    ]
    classes = [item.entry for item in decode_names(given)] if given else plan.classes
    found, placements = map_classes(chosen, classes, lenient=True)
    if as_json:
        show_json(to_json(found, placements))
    else:
        show(render(found, placements))


@app.command(rich_help_panel=LOOKS)
def doctor(
    params: ParamsFile = DEFAULT_PARAMS,
    network: Annotated[
        bool, typer.Option("--network", help="Ask the Hub whether it answers.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at machine, software, project and model: what stops a run, what will be slow."""
    from sreclip.doctor.examine import examine
    from sreclip.doctor.view import print_findings, to_json

    sections = examine(params, network=network)
    if as_json:
        found = to_json(sections)
        show_json(found)
        problems = found["problems"]
    else:
        from rich.console import Console

        problems = print_findings(sections, Console())
    if problems:
        raise typer.Exit(1)
