"""Parameters and the graph of results. Every cluster job parses this again, so nothing heavy is
imported; and so does every dry run, so nothing is written."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

from sreclip.config import parse_params, read_values
from sreclip.data.changes import is_outdated, note_of_dates, write_seen
from sreclip.data.task import FirstLook
from sreclip.data.tasks import load_task
from sreclip.errors import SreclipError
from sreclip.plan.bundles import cut, pieces_of, read_bundle, write_bundle
from sreclip.plan.kept import kept
from sreclip.plan.labels import REFERENCE
from sreclip.plan.plan import Plan
from sreclip.plan.results import outputs_of
from sreclip.plan.run import (
    RUN_PARAMS_VARIABLE,
    read_run_params,
    snapshot_path,
    write_snapshot,
)
from sreclip.plan.split import known_mask
from sreclip.plan.sweep import Sweep, all_results
from sreclip.provenance.stamps import AGAIN_VARIABLE, is_as_published
from sreclip.workflow.output import one_line_per_job
from sreclip.workflow.paths import check_cache, literal
from sreclip.workflow.slurm import ask_patiently, check_folder
from sreclip.workflow.times import let_times_differ


def refuse(error):
    """End with our own words alone; Snakemake would put a file and a line before them."""
    print(f"sreclip: {error}", file=sys.stderr)
    sys.exit(1)


try:
    # Of a repeated key Snakemake takes the last, and it calls a merge marker a wrong tab.
    if Path("params.yaml").exists():
        read_values(Path("params.yaml"))
except SreclipError as error:
    refuse(error)


configfile: "params.yaml"


MAIN = workflow.is_main_process
OUTPUT = workflow.output_settings
# A job parses this hours later, when params.yaml may say something else: it reads the parameters
# that its run was started with, and finds them by the environment.
RUN_PARAMS = None if MAIN else os.environ.get(RUN_PARAMS_VARIABLE)


def sources():
    """Say where the parameters come from."""
    given = workflow.config_settings
    files = dict.fromkeys(map(os.path.relpath, ["params.yaml", *given.configfiles]))
    return " and ".join([*files, *(["--config"] if given.config else [])])


try:
    PARAMS = (
        read_run_params(Path(RUN_PARAMS))
        if RUN_PARAMS
        else parse_params(config, sources())
    )
    PLAN = Plan(PARAMS)
    TASK, PREPARED = load_task(PARAMS.task.name), (PARAMS.task.settings, PLAN.task.path)
    # A job does what the main process has found due: it need not walk the images again.
    LOOK = TASK.first_look(*PREPARED) if MAIN else FirstLook([], None)
    OUTDATED = is_outdated(TASK, *PREPARED, LOOK, PLAN.seen)
    if MAIN:
        check_cache()
    _ = PLAN.backbone_key  # local weights are there, and those that are pinned
    if LOOK.classes is not None:
        known_mask(list(LOOK.classes), list(LOOK.classes.values()), PARAMS.split)
except SreclipError as error:
    refuse(error)

# Where the Snakefile tells its jobs that the images' folders are not as they were.
PREPARE_AGAIN_VARIABLE = "SRECLIP_PREPARE_AGAIN"
PARAMS_FILE = snapshot_path(PARAMS)
os.environ[RUN_PARAMS_VARIABLE] = str(PARAMS_FILE)
BUNDLES = PLAN.results / "cache/bundles"
UNDER = f"{PARAMS.task.name}/{PARAMS.backbone.label}"
HERE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
ENVIRONMENT = literal(HERE.parent / "envs/sreclip.yaml")
let_times_differ()
if MAIN:
    ask_patiently()
    if not OUTPUT.verbose:
        one_line_per_job(
            logger,
            dryrun=OUTPUT.dryrun,
            quiet=bool(OUTPUT.quiet),
            shows_logs=OUTPUT.show_failed_logs,
        )
    note = note_of_dates(LOOK)
    if note and not OUTPUT.quiet and (OUTDATED or not PLAN.task.path.exists()):
        print(note, file=sys.stderr)
    # Published files were edited or removed since: their stamp is there, but means other files.
    stale = not is_as_published(PLAN.reports)
    again = f"results/again/{time.time_ns()}"
    os.environ[AGAIN_VARIABLE] = again if stale else ""
    os.environ[PREPARE_AGAIN_VARIABLE] = f"{again}-task" if OUTDATED else ""
if shutil.which("sreclip") is None:
    # Called as .venv/bin/snakemake: the other programs lie beside this Python.
    programs = shlex.quote(str(Path(sys.executable).parent))
    shell.prefix(f"PATH={literal(programs)}:$PATH; ")


def forget_bundles():
    """Remove the lists of what this run made in bundles, and their stamps."""
    for stamp in MADE if not OUTPUT.dryrun else ():
        for path in (stamp, stamp.with_suffix(".json")):
            path.unlink(missing_ok=True)


onstart:
    if workflow.executor_plugin.name == "slurm":
        try:
            check_folder(Path.cwd())
        except SreclipError as error:
            refuse(error)
    prepared = all(path.exists() for path in PLAN.task.outputs)
    if LOOK.inputs and prepared and not OUTDATED:
        # Of results that were pulled: the next run need not list the images.
        write_seen(PLAN.seen, LOOK, PLAN.task.path)
    write_snapshot(PARAMS)
    PLAN.fingerprints.save()


onsuccess:
    shutil.rmtree("results/again", ignore_errors=True)
    forget_bundles()
    if (
        not OUTPUT.quiet
        and PLAN.task.path.exists()
        and PLAN.comparison["metrics.json"].exists()
        and PLAN.publication.path.exists()
    ):
        subprocess.run(["sreclip", "results"], check=False)


onerror:
    forget_bundles()


wildcard_constraints:
    key="[0-9a-f]{12}",
    content="[0-9a-z-]+",
    kind="classes|nodes|background",
    method="[a-z0-9_]+",


@cache
def known_results():
    """Every result of the run and its sweep by path."""
    return all_results(PLAN)


@cache
def known_pieces():
    """Every fit and evaluation of the run and its sweep by path."""
    return pieces_of(PLAN)


def once_prepared(files_of):
    """Make an input function: the files that are named once the task is prepared.

    Paths carry content keys, so that a file that is there is up to date: times do not matter.
    """

    def files(wildcards):
        checkpoints.prepare_data.get()
        try:
            return ancient([str(path) for path in files_of(wildcards)])
        except SreclipError as error:
            refuse(error)

    return files


def results_of(wanted):
    """Make an input function: what stands for results that the plan names."""
    return once_prepared(lambda wildcards: standing_for(paths_of(wanted(PLAN))))


def inputs_of(place):
    """Make an input function: what stands for all that the result at this place is made from."""

    def files(wildcards):
        return standing_for(paths_of(known_results()[place.format(**wildcards)].inputs))

    return once_prepared(files)


def inputs_of_bundle(wildcards):
    """Name the files that a bundle is made from."""
    stamp = BUNDLES / f"{wildcards.content}-{wildcards.key}.done"
    if MAIN:
        bundle = MADE[stamp]
    else:
        bundle = read_bundle(stamp.with_suffix(".json"), known_pieces())
    return outputs_of(bundle.inputs)


@cache
def before_model():
    """Name the files that the kept model is made from.

    What is missing of them is in the bundles of the comparison, and is not to be in others.
    """
    inputs = kept(PLAN)[0].inputs
    if not (are_there(inputs) or are_there([PLAN.comparison])):
        inputs = (*PLAN.features, PLAN.comparison)
    return standing_for(paths_of(inputs))


def are_there(results):
    return all(path.exists() for path in outputs_of(results))


def paths_of(results):
    return tuple(each.path.as_posix() for each in results)


# This run's bundles by their stamps; the list of what is in one is beside its stamp.
MADE = {}


@cache
def standing_for(paths):
    """The files of results; of fits and evaluations that are small and missing, bundles' stamps.

    Asked again it says the same, though by then some of them are there.
    """
    results = [known_results()[path] for path in paths]
    if not MAIN:
        return outputs_of(results)
    settings, pieces = PARAMS.train, known_pieces()
    on_cluster = workflow.resource_settings.nodes is not None
    cores = 1 if on_cluster else workflow.resource_settings.cores or 1
    small = [each for each in results if each.path.as_posix() in pieces]
    bundles = cut(small, pieces, settings.job_minutes * 60, cores // settings.cores)
    bundled = {piece.path for bundle in bundles for piece in bundle.pieces}
    stamps = {BUNDLES / f"{bundle.name}.done": bundle for bundle in bundles}
    MADE.update(stamps)
    for stamp, bundle in stamps.items() if not OUTPUT.dryrun else ():
        # One of a run that was killed says nothing about this one.
        stamp.unlink(missing_ok=True)
        write_bundle(bundle, stamp.with_suffix(".json"))
    others = (each for each in results if each.path.as_posix() not in bundled)
    return [*outputs_of(others), *stamps]


# Files that are never there, so that asking for them prepares or publishes again.
PREPARE_AGAIN = list(filter(None, [os.environ.get(PREPARE_AGAIN_VARIABLE)]))
AGAIN = (
    [f"{os.environ[AGAIN_VARIABLE]}-{{key}}"] if os.environ.get(AGAIN_VARIABLE) else []
)


def published(wildcards):
    """The stamp of ``reports/``, and what makes it again where it is not true any more."""
    stamp = results_of(lambda plan: [plan.publication])(wildcards)
    return [*stamp, *expand(AGAIN, key=PLAN.publication.key)]
