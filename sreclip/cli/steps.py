"""Steps of the pipeline, one sub-command each: Snakemake's rules call these."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sreclip.cli.app import (
    DEFAULT_PARAMS,
    STEPS,
    MethodName,
    ParamsFile,
    Quiet,
    app,
    log,
    plan_of,
    registered_method,
)
from sreclip.errors import ConfigError, DamagedError
from sreclip.files import aside

if TYPE_CHECKING:
    from sreclip.plan.plan import Plan
    from sreclip.plan.results import Result

Key = Annotated[
    str | None,
    typer.Option(help="Key of the result, of the run or its sweep; by default that of the run."),
]


def _step(command: Callable[..., None]) -> Callable[..., None]:
    """Register a step of the pipeline: a damaged file that it meets is set aside."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except DamagedError as error:
            raise aside(error) from error

    return app.command(rich_help_panel=STEPS)(run)


def _made(plan: Plan, result: Result) -> None:
    """Record how a result was made, and say where it is."""
    from sreclip.provenance.records import write_record

    write_record(plan, result)
    plan.fingerprints.save()
    log.info("%s", result.path)


@_step
def check(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Check everything that can be known without running: data, classes, backbone, devices."""
    from sreclip.config.load import missing_params
    from sreclip.plan.check import check_plan

    plan = plan_of(params)
    log.info("%s: valid", params)
    absent = missing_params(params, Path("dvc.yaml")) if params == DEFAULT_PARAMS else []
    if absent:
        log.info(
            "note: dvc.yaml names parameters that are not in %s: %s; dvc repro needs them there, "
            "defaults or not (docs/parameters.md)",
            params,
            ", ".join(absent),
        )
    check_plan(plan)
    if plan.params.evaluate.labels and plan.task["summary.json"].exists():
        from sreclip.evaluate.target import read_target

        read_target(plan)  # an error where a label is of no image


@_step
def prepare_data(params: ParamsFile = DEFAULT_PARAMS, quiet: Quiet = False) -> None:
    """List and hash the images of the task, and write a manifest cut into shards."""
    from sreclip.data.changes import write_seen
    from sreclip.data.prepare import prepare_data as prepare
    from sreclip.data.tasks import load_task
    from sreclip.plan.labels import refuse_missing_labels

    plan = plan_of(params)
    task = plan.params.task
    # Before the images are listed: what comes later is then seen to be new.
    look = load_task(task.name).first_look(task.settings, plan.task.path)
    summary = prepare(
        task.name,
        task.settings,
        plan.task.path,
        shard_size=task.shard_size,
        duplicates=task.duplicates,
        hash_cache=plan.hash_cache,
        progress=not quiet,
    )
    write_seen(plan.seen, look, plan.task.path)
    classes, shards, images = (summary[name] for name in ("classes", "shards", "images"))
    counts = f"{images['source']} source and {images['target']} target images"
    log.info("%s: %d classes, %s in %d shards", task.name, classes, counts, shards)
    for note in summary["notes"]:
        log.warning("note: %s", note)
    plan = plan_of(params)  # now it knows the images
    _made(plan, plan.task)
    # Errors where the split does not fit the classes, or labels are to choose and there is none.
    _ = plan.known
    refuse_missing_labels(plan.params, plan.n_target_labels)


@_step
def extract_images(
    params: ParamsFile = DEFAULT_PARAMS,
    domain: Annotated[
        Literal["source", "target"] | None, typer.Option(help="Domain of the shard.")
    ] = None,
    shard: Annotated[int | None, typer.Option(help="Number in its domain, from 0.")] = None,
    key: Annotated[str | None, typer.Option(help="Key, instead of the number.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; default: all.")] = None,
    quiet: Quiet = False,
) -> None:
    """Encode the images of one shard into one HDF5 file."""
    from sreclip.features.planned import extract_shard

    plan = plan_of(params)
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
    extract_shard(plan, key, threads=threads, progress=not quiet)
    _made(plan, plan.shard_features(key))


@_step
def extract_text(
    kind: Annotated[
        Literal["classes", "nodes", "background"],
        typer.Argument(help="Names of classes or of graph nodes, or sentences for none of them."),
    ],
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Encode the names of classes or graph nodes with every prompt template."""
    from sreclip.features.planned import extract_names

    plan = plan_of(params)
    extract_names(plan, kind)
    _made(plan, plan.text(kind))


@_step
def build_graph(
    params: ParamsFile = DEFAULT_PARAMS,
    wnids: Annotated[
        Path | None,
        typer.Option(help="Build for the WordNet ids in this file (one per line) instead."),
    ] = None,
    include_imagenet: Annotated[
        bool, typer.Option("--include-imagenet", help="With --wnids: add ImageNet-1k neighbours.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="With --wnids: the file to write.")] = None,
) -> None:
    """Build the class relation graph of the task, or of a list of WordNet ids."""
    from sreclip.graph.build import build_from_file
    from sreclip.graph.build import build_graph as build

    if wnids is None:
        plan = plan_of(params)
        build(plan)
        _made(plan, plan.graph)
        return
    if out is None:
        raise ConfigError("--wnids needs --out")
    graph = build_from_file(wnids, include_imagenet=include_imagenet)
    graph.save(out)
    log.info("%d nodes, %d edges -> %s", graph.n_nodes, len(graph.edges), out)


@_step
def train(
    method: MethodName, params: ParamsFile = DEFAULT_PARAMS, key: Key = None, quiet: Quiet = False
) -> None:
    """Fit one method, once per seed, on the cached features."""
    from sreclip.plan.bundles import plan_of_result
    from sreclip.train.method import fit_method

    plan = plan_of(params)
    name = registered_method(method)
    if key is not None:
        plan = plan_of_result(plan, "fit", name, key)
    fit_method(plan, name, progress=not quiet)
    _made(plan, plan.fit(name))


@_step
def evaluate(method: MethodName, params: ParamsFile = DEFAULT_PARAMS, key: Key = None) -> None:
    """Score one method's target predictions; the only step that reads target labels."""
    from sreclip.evaluate.evaluation import evaluate_method
    from sreclip.plan.bundles import plan_of_result

    plan = plan_of(params)
    name = registered_method(method)
    if key is not None:
        plan = plan_of_result(plan, "evaluation", name, key)
    evaluate_method(plan, name)
    _made(plan, plan.evaluation(name))


@_step
def make_bundle(
    bundle: Annotated[Path, typer.Argument(help="List of results.", metavar="FILE")],
    params: ParamsFile = DEFAULT_PARAMS,
    quiet: Quiet = False,
) -> None:
    """Fit and evaluate what a list names, one after the other."""
    from sreclip.plan.bundles import pieces_of, read_bundle
    from sreclip.workflow.bundle import make_bundle as make

    plan = plan_of(params)
    make(read_bundle(bundle, pieces_of(plan)), progress=not quiet)
    plan.fingerprints.save()


@_step
def compare(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Put the evaluations of all methods into one table."""
    from sreclip.evaluate.comparison import compare_methods

    plan = plan_of(params)
    compare_methods(plan)
    _made(plan, plan.comparison)


@_step
def tabulate_sweep(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Put the evaluations of the sweep into one tidy table, Parquet and CSV."""
    from sreclip.evaluate.sweep import tabulate_sweep as tabulate
    from sreclip.plan.sweep import Sweep

    plan = plan_of(params)
    tabulate(plan)
    _made(plan, Sweep(plan).table)


@_step
def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs to compare, two or more, named as for sreclip diff.",
            metavar="RUN...",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the comparison goes, by default reports/compare.html.", metavar="FILE"
        ),
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Write the page; of two or more runs (report A B), one page that compares them.

    A run is a reports/ folder, a metrics.json or a git revision such as HEAD~1 (. is the working
    folder). The others are compared with the first: parameters, numbers, classes, images.
    """
    if runs:
        from sreclip.report.compare_page import FILE, write_comparison

        write_comparison(runs, out or FILE)
        print(out or FILE)
        return
    if out is not None:
        raise ConfigError("--out is where a comparison goes, and no runs are named", "name two")
    from sreclip.report.page import write_page

    plan = plan_of(params)
    write_page(plan)
    _made(plan, plan.page)


@_step
def keep_model(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Save the model that the run keeps."""
    from sreclip.model.save import keep_model as keep
    from sreclip.plan.kept import kept

    plan = plan_of(params)
    for result in kept(plan):
        keep(plan, result.about["method"], result)
        _made(plan, result)


@_step
def publish(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Copy the metrics, the tables and the page to reports/."""
    from sreclip.report.publish import publish as publish_report

    plan = plan_of(params)
    publish_report(plan)
    _made(plan, plan.publication)


@_step
def prune(
    folders: Annotated[list[str], typer.Argument(help="Folders below results/.")],
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Remove results that the present parameters do not lead to."""
    from sreclip.plan.prune import prune as prune_results

    for path in prune_results(plan_of(params), folders):
        log.info("removed %s", path)
