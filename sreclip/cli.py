"""The ``sreclip`` command: one sub-command a pipeline step, plus what people look at."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sreclip import __version__
from sreclip.config.options import with_benchmark_options
from sreclip.errors import ConfigError, DamagedError, SreclipError, StoreError, some
from sreclip.files import set_aside

if TYPE_CHECKING:
    from sreclip.config.models import Params
    from sreclip.plan.plan import Plan

app = typer.Typer(
    name="sreclip",
    help="Adapt frozen CLIP to a new visual domain that also holds unlabelled classes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
STEPS = "Pipeline steps (snakemake calls these)"
LOOKS = "Look at results"
data_app = typer.Typer(help="Look at the images of a benchmark.", no_args_is_help=True)
app.add_typer(data_app, name="data", rich_help_panel=LOOKS)

ParamsFile = Annotated[
    Path, typer.Option("--params", help="Parameter file.", metavar="FILE", show_default=True)
]
MethodName = Annotated[str, typer.Argument(help="A registered method.", metavar="METHOD")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_PARAMS = Path("params.yaml")
SHOWN_CLASSES = 20

log = logging.getLogger("sreclip")


def main() -> None:
    """Run the command; a user's mistake ends in two lines and status 2, not in a traceback."""
    try:
        app()
    except SreclipError as error:
        log.error("sreclip: %s", error)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except Exception:
        log.exception("sreclip stopped on a bug; please report it with this traceback")
        sys.exit(1)


def _start_logging(file: Path | None) -> None:
    """Send plain lines to the terminal and, with the time, to a file."""
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(logging.Formatter("%(message)s"))
    log.handlers = [console]
    log.setLevel(logging.INFO)
    log.propagate = False  # open_clip gives the root logger a handler; a line would come twice
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(file, mode="w", encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"--log {file}: the file cannot be written ({error.strerror})", "choose another"
            ) from error
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    log_file: Annotated[
        Path | None, typer.Option("--log", help="Write a log file, too.", metavar="FILE")
    ] = None,
) -> None:
    _start_logging(log_file)
    if version:
        print(f"sreclip {__version__}")
        raise typer.Exit


def _step(command: Callable[..., None]) -> Callable[..., None]:
    """Register a step of the pipeline: a damaged file that it meets is set aside."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except DamagedError as error:
            raise StoreError(
                error.message,
                f"set aside as {set_aside(error.path)}; run again, and it is made anew",
            ) from error

    return app.command(rich_help_panel=STEPS)(run)


def _params(path: Path) -> Params:
    from sreclip.config import load_params

    return load_params(path)


def _plan(path: Path) -> Plan:
    from sreclip.plan.plan import Plan

    return Plan(_params(path))


def _made(plan: Plan, path: Path) -> None:
    """Record where a result comes from, and say where it is."""
    from sreclip.provenance.records import write_record

    write_record(plan, path)
    log.info("%s", path)


def _method(plan: Plan, name: str) -> str:
    from sreclip.methods import METHODS
    from sreclip.registry import unknown_name

    if name not in METHODS:
        raise ConfigError(unknown_name("method", name, METHODS))
    return name


@_step
def check(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Check the parameters, and the split where the task is prepared."""
    from sreclip.config.dvc import missing_params

    plan = _plan(params)
    log.info("%s: valid", params)
    absent = missing_params(params, Path("dvc.yaml"))
    if absent:
        log.info(
            "note: dvc.yaml names parameters that do not stand in %s: %s; dvc repro wants them "
            "there, defaults or not (docs/parameters.md)",
            params,
            ", ".join(absent),
        )
    if plan.task_dir.exists():
        unknown = [
            entry.name for entry, known in zip(plan.classes, plan.known, strict=True) if not known
        ]
        shown = some(unknown, SHOWN_CLASSES) or "none"
        log.info("%d classes, unknown: %s", len(plan.classes), shown)


@_step
def prepare_data(params: ParamsFile = DEFAULT_PARAMS, quiet: Quiet = False) -> None:
    """List, hash and cut the images of the task into a manifest with shards."""
    from sreclip.data.prepare import prepare_data as prepare
    from sreclip.provenance.records import write_record

    plan = _plan(params)
    task = plan.params.task
    summary = prepare(
        task.name,
        task.settings,
        plan.task_dir,
        shard_size=task.shard_size,
        duplicates=task.duplicates,
        hash_cache=plan.hash_cache,
        progress=not quiet,
    )
    images = summary["images"]
    log.info(
        "%s: %d classes, %d source and %d target images in %d shards -> %s",
        task.name,
        summary["classes"],
        images["source"],
        images["target"],
        summary["shards"],
        plan.task_dir,
    )
    write_record(plan, plan.task_dir)
    for note in summary["notes"]:
        log.info("note: %s", note)
    _ = plan.known


@_step
def extract_images(
    params: ParamsFile = DEFAULT_PARAMS,
    domain: Annotated[
        Literal["source", "target"] | None, typer.Option(help="Domain of the shard.")
    ] = None,
    shard: Annotated[
        int | None, typer.Option(help="Number of the shard in its domain, from 0.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Key of the shard, instead of its number.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Cores to use; by default all of them.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Encode the pictures of one shard into one HDF5 file."""
    from sreclip.features.steps import extract_shard

    plan = _plan(params)
    if key is None:
        if domain is None or shard is None:
            raise ConfigError("name the shard by --domain and --shard, or by --key")
        shards = plan.domain_shards(domain)
        if not 0 <= shard < len(shards):
            raise ConfigError(
                f"--shard {shard}: the {domain} domain has {len(shards)} shards",
                f"use 0 to {len(shards) - 1}",
            )
        key = shards[shard].key
    _made(plan, extract_shard(plan, key, threads=threads, progress=not quiet))


@_step
def join_images(
    domain: Annotated[Literal["source", "target"], typer.Argument(help="Domain to join.")],
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Join the shards of a domain into one virtual file."""
    from sreclip.features.steps import join_domain

    plan = _plan(params)
    _made(plan, join_domain(plan, domain))


@_step
def extract_text(
    kind: Annotated[
        Literal["classes", "nodes"], typer.Argument(help="Class names or graph node names.")
    ],
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Encode class or node names with every prompt template."""
    from sreclip.features.steps import extract_names

    plan = _plan(params)
    _made(plan, extract_names(plan, kind))


@_step
def build_graph(
    params: ParamsFile = DEFAULT_PARAMS,
    wnids: Annotated[
        Path | None,
        typer.Option(help="Build for the WordNet ids in this file (one a line) instead."),
    ] = None,
    include_imagenet: Annotated[
        bool, typer.Option("--include-imagenet", help="With --wnids: add ImageNet-1k neighbours.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="With --wnids: the file to write.")] = None,
) -> None:
    """Build the class relation graph of the task, or of a list of WordNet ids."""
    if wnids is None:
        from sreclip.graph.build import build_graph as build

        plan = _plan(params)
        _made(plan, build(plan))
        return
    from sreclip.graph.build import build_from_file

    if out is None:
        raise ConfigError("--wnids needs --out")
    graph = build_from_file(wnids, include_imagenet=include_imagenet)
    graph.save(out)
    log.info("%d nodes, %d edges -> %s", graph.n_nodes, len(graph.edges), out)


@_step
def train(method: MethodName, params: ParamsFile = DEFAULT_PARAMS, quiet: Quiet = False) -> None:
    """Fit one method, once a seed, on the cached features."""
    from sreclip.train.fits import fit_method

    plan = _plan(params)
    _made(plan, fit_method(plan, _method(plan, method), progress=not quiet))


@_step
def evaluate(method: MethodName, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Score one method's target predictions; the only step that reads target labels."""
    from sreclip.evaluate.evaluation import evaluate_method
    from sreclip.evaluate.reference import REFERENCE, protocol_warning

    plan = _plan(params)
    _made(plan, evaluate_method(plan, _method(plan, method)))
    if plan.params.evaluate.protocol == REFERENCE:
        log.warning("warning: %s", protocol_warning(plan.params.train.checkpoints))


@_step
def compare(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Put the evaluations of all methods into one table."""
    from sreclip.evaluate.comparison import compare_methods

    plan = _plan(params)
    _made(plan, compare_methods(plan))


@_step
def tabulate_sweep(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Put the evaluations of the sweep into one tidy table, Parquet and CSV."""
    from sreclip.plan.sweep import tabulate_sweep as tabulate

    plan = _plan(params)
    _made(plan, tabulate(plan))


@_step
def report(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Write the page."""
    from sreclip.report.page import write_page

    plan = _plan(params)
    _made(plan, write_page(plan))


@_step
def publish(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Copy the table, its CSV files and the page to reports/."""
    from sreclip.report.publish import publish as publish_report

    log.info("%s", publish_report(_plan(params)))


@_step
def prune(
    stages: Annotated[list[str], typer.Argument(help="Folders below results/.")],
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Remove results that the present parameters do not lead to."""
    from sreclip.plan.prune import prune as prune_results

    for path in prune_results(_plan(params), stages):
        log.info("removed %s", path)


@app.command(rich_help_panel=LOOKS)
def results(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Print the results table and where the page is; of reports/ alone where results/ is not."""
    from rich.console import Console

    from sreclip.report.table import render_literature, render_table

    plan = _plan(params)
    console = Console()
    try:
        shown = [render_table(plan), render_literature(plan)]
    except StoreError as error:
        if not (plan.reports / "metrics.json").exists():
            raise
        log.info("%s\n  -> shown is what %s/ holds", error.message, plan.reports)
        shown = [render_table(plan.reports), render_literature(plan.reports)]
    for table in filter(None, shown):
        console.print(table)
    console.print(f"Page: {plan.reports / 'index.html'}")


@app.command(rich_help_panel=LOOKS)
def sweep(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Print methods and variants over the splits of the sweep, and where its table is."""
    from rich.console import Console

    from sreclip.plan.sweep import Sweep
    from sreclip.report.sweep import sweep_view

    plan = _plan(params)
    console = Console()
    console.print(sweep_view(plan))
    console.print(f"All numbers: {Sweep(plan).table.with_suffix('.csv')}")


@app.command(rich_help_panel=LOOKS)
def ablate(
    method: Annotated[str, typer.Argument(help="A method named in sweep.ablate.")] = "sre_clip",
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Print what each part of a method is worth: switched off in turn, and together."""
    from rich.console import Console

    from sreclip.report.sweep import ablation_view

    plan = _plan(params)
    Console().print(ablation_view(plan, _method(plan, method)))


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
    from sreclip.data.benchmarks.view import render, to_json
    from sreclip.data.tasks import load_benchmarks
    from sreclip.registry import unknown_name

    benchmarks = load_benchmarks()
    if task not in benchmarks:
        raise ConfigError(unknown_name("benchmark", task, benchmarks))
    given = {name: value for name, value in options.items() if value}
    if "root" in given:
        values = {"task": {"name": task, task: given}}
        settings = parse_params(values, "options").task.settings
    else:
        section = _params(params).task
        if section.name != task:
            raise ConfigError(
                f"--root is missing, and {params} is about the task {section.name!r}",
                f"sreclip data check {task} --root DIR",
            )
        settings = section.settings | given
    found = benchmarks[task].survey(settings)
    if as_json:
        print(json.dumps(to_json(found), indent=2, ensure_ascii=False))
    else:
        Console().print(render(found))
    if found.problems or any(found.differences()):
        raise typer.Exit(1)


@app.command(rich_help_panel=LOOKS)
def inspect(
    file: Annotated[Path, typer.Argument(help="A feature file (.h5).", metavar="FILE")],
) -> None:
    """Print what a feature file holds."""
    from rich.console import Console

    from sreclip.features.inspect import render

    Console().print(render(file))


@app.command(rich_help_panel=LOOKS)
def verify(
    folder: Annotated[
        Path, typer.Argument(help="Where cached files lie; or a DVC cache or remote folder.")
    ] = Path("results"),
    aside: Annotated[
        bool,
        typer.Option("--set-aside", help="Rename what is wrong, so that the next run makes it."),
    ] = False,
) -> None:
    """Check every cached feature file against its key and checksum, or a DVC cache."""
    from sreclip.features.verify import count_files, verify_tree
    from sreclip.provenance.dvc_cache import damaged_objects, is_cache

    if is_cache(folder):
        problems, count = damaged_objects(folder)
        what, also = "objects", ""
    else:
        problems = verify_tree(folder)
        what, count = "feature files", 0 if problems else count_files(folder)
        also = "what DVC has comes back with: dvc checkout --force results/features"
    for problem in problems:
        print(problem)
        if aside and not problem.unfinished:
            print(f"  -> set aside as {set_aside(problem.path)}")
    if problems:
        log.error("%d of the %s are damaged%s", len(problems), what, also and f"\n  -> {also}")
        raise typer.Exit(1)
    print(f"{folder}: {count} {what}, all whole")


@app.command(rich_help_panel=LOOKS)
def provenance(
    result: Annotated[
        Path, typer.Argument(help="A file or folder below results/ or reports/.", metavar="RESULT")
    ],
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: Json = False,
) -> None:
    """Print the chain from a result back to the pictures, and who made each link."""
    import json

    from sreclip.provenance.trace import trace
    from sreclip.provenance.view import chain_lines

    chain = trace(result, params)
    if as_json:
        print(json.dumps(chain.to_json(), indent=2, ensure_ascii=False))
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
    import json

    from rich.console import Console

    from sreclip.provenance.differences import diff as find_differences
    from sreclip.provenance.differences import render

    found = find_differences(a, b)
    if as_json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        Console().print(render(found, every_metric=every_metric))


@app.command(rich_help_panel=LOOKS)
def show_graph(
    params: ParamsFile = DEFAULT_PARAMS,
    graph: Annotated[
        Path | None, typer.Option(help="A graph.json to draw instead of the task's.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write a picture here: .svg, or .html to explore.")
    ] = None,
) -> None:
    """Draw the class relation graph: as a tree here, as a picture in a file."""
    from rich.console import Console

    from sreclip.graph.build import draw_to_file, read_graph
    from sreclip.graph.draw import text_tree
    from sreclip.graph.relation_graph import RelationGraph

    known = None
    if graph is None:
        plan = _plan(params)
        relation_graph, known = read_graph(plan), plan.known
    else:
        relation_graph = RelationGraph.load(graph)
    if out is None:
        Console().print(text_tree(relation_graph, known))
    else:
        draw_to_file(relation_graph, out, known)
        print(out)


@app.command(rich_help_panel=LOOKS)
def reference(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")] = Path("docs"),
) -> None:
    """Write the parameter reference and the JSON schema from the models."""
    from sreclip.config.reference import write_reference

    for path in write_reference(folder):
        print(path)
