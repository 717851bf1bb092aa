"""Parameters and paths. Every cluster job parses this again, so nothing heavy is imported."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from sreclip.config import load_params, parse_params, read_values
from sreclip.data.manifest import DOMAINS
from sreclip.data.task import FirstLook
from sreclip.data.tasks import load_task
from sreclip.errors import SreclipError
from sreclip.plan.plan import Plan
from sreclip.evaluate.reference import REFERENCE
from sreclip.provenance.records import keep_records
from sreclip.provenance.stamps import withdraw_stale
from sreclip.slurm import ask_patiently
from sreclip.plan.snapshot import write_snapshot
from sreclip.plan.split import known_mask
from sreclip.plan.sweep import Sweep

try:
    # Snakemake's own words for a merge marker are about tabs, and of a key that stands twice it takes
    # the last.
    if Path("params.yaml").exists():
        read_values(Path("params.yaml"))
except SreclipError as error:
    raise WorkflowError(str(error)) from None


configfile: "params.yaml"


# A cluster job parses this hours later, when params.yaml may say something else: it reads the
# parameters that its run was started with, and knows where they are from the environment.
RUN_PARAMS = None if workflow.is_main_process else os.environ.get("SRECLIP_RUN_PARAMS")

try:
    PARAMS = (
        load_params(Path(RUN_PARAMS))
        if RUN_PARAMS
        else parse_params(config, "params.yaml and --config")
    )
    PARAMS_FILE = write_snapshot(PARAMS)
    os.environ.update(SRECLIP_RUN_PARAMS=str(PARAMS_FILE))
    PLAN = Plan(PARAMS)
    TASK = load_task(PARAMS.task.name)
    # A job does what the main process has found due: it need not walk the pictures again.
    LOOK = (
        TASK.first_look(PARAMS.task.settings, PLAN.task_dir)
        if workflow.is_main_process
        else FirstLook([], None)
    )
    # A clone's folders may all be newer than the results that were pulled into it.
    IMAGES = (
        ancient(LOOK.inputs)
        if LOOK.inputs
        and TASK.is_as_pulled(PARAMS.task.settings, PLAN.task_dir, PLAN.hash_cache)
        else LOOK.inputs
    )
    if LOOK.classes is not None:
        known_mask(list(LOOK.classes), list(LOOK.classes.values()), PARAMS.split)
    if workflow.is_main_process:
        keep_records(Path("reports"), PLAN.results)
        withdraw_stale(Path("reports"))
        ask_patiently()
except SreclipError as error:
    raise WorkflowError(str(error)) from None

SWEEP = Sweep(PLAN)
REFERENCE_PROTOCOL = PARAMS.evaluate.protocol == REFERENCE
if shutil.which("sreclip") is None:
    # Called as .venv/bin/snakemake: the other programs lie beside this Python.
    shell.prefix(f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")
UNDER = f"{PARAMS.task.name}/{PARAMS.backbone.label}"


wildcard_constraints:
    key="[0-9a-f]{12}",
    domain="source|target",
    kind="classes|nodes",
    method="[a-z0-9_]+",


def params_of(plans):
    """Make a function that gives a fit or an evaluation the file of its parameters."""

    def file(wildcards):
        checkpoints.prepare_data.get()
        return write_snapshot(plans()[wildcards.method, wildcards.key].params)

    return file


def planned(paths):
    """Make an input function of what to ask of the plan, once the task is prepared.

    Paths carry content keys, so that a file that is there is up to date: times do not matter.
    """

    def inputs(wildcards):
        checkpoints.prepare_data.get()
        try:
            found = paths(PLAN, wildcards)
        except SreclipError as error:
            raise WorkflowError(str(error)) from None
        return ancient([str(path) for path in found])

    return inputs


def scored_again(plan):
    """What an evaluation reads when it scores a fit's states on batches of its own."""
    if not REFERENCE_PROTOCOL:
        return []
    graph = [plan.graph_dir / name for name in ("graph.json", "similarity.safetensors")]
    return [*plan.all_features(), *graph]


def fit_inputs(plan, wildcards):
    """Features and graph; joined files with another limit of rejects make no fit again."""
    fit = Path(f"results/models/{UNDER}/{wildcards.method}-{wildcards.key}")
    files = ("scores.h5", "model.safetensors", "fit.json")
    there = all((fit / name).exists() for name in files)
    joined = {plan.joined_features(domain) for domain in DOMAINS}
    return [
        *(
            path
            for path in plan.all_features()
            if not there or path not in joined or path.exists()
        ),
        plan.graph_dir / "graph.json",
        plan.graph_dir / "similarity.safetensors",
    ]
