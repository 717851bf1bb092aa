"""A sweep end to end, against a hand-written loop over the same fits in one process.

Run in a project folder whose features and graph are made:

    snakemake --cores all extract_features graph --configfile config/pacs-pairs.yaml
    python benchmarks/sweep.py config/pacs-pairs.yaml --out sweep.md

Every way starts without a fit, in a scratch folder with links to all but the results. The loop
reads the features once, fits, scores the target and works out H; it writes nothing. That its H is
the one of the sweep's table is checked for every combination.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from measuring import commit, machine, number, show

LINKED = ("data", "features", "graph", "cache")
FITTED = ("models", "evaluations", "sweeps", "records")
# What the loop and the scratch folder may differ by, in H: the loop has no file between the steps.
TOLERANCE = 1e-9


def loop(params: Path) -> dict[str, float]:
    """Fit, score and evaluate every combination as one writes it by hand."""
    from sreclip.data.manifest import read_target_labels
    from sreclip.evaluate.metrics import run_metrics
    from sreclip.plan.plan import Plan
    from sreclip.plan.run import read_run_params
    from sreclip.plan.sweep import Sweep
    from sreclip.train.fits import fit, make_method, score_target
    from sreclip.train.inputs import read_stored

    plan = Plan(read_run_params(params))
    bins = plan.params.evaluate.ece_bins
    stored = read_stored(plan)
    labels = read_target_labels(plan.task.path, stored.target_row_id)
    found: dict[str, float] = {}
    last: tuple[str, ...] | None = None
    for item in Sweep(plan).combinations:
        if item.unknown != last:
            inputs, last = stored.of_split(item.plan.known), item.unknown
        for seed in plan.params.train.seeds:
            method = make_method(item.method, item.plan.params.methods.settings(item.method), seed)
            scores = score_target(fit(method, inputs), inputs.target_features)
            run = scores.spread(inputs.target_ok)
            values = run_metrics(run, inputs.target_ok, labels, item.plan.known, bins)
            found[name_of(item.method, "+".join(item.unknown), item.variant, seed)] = values["h"]
    return found


def name_of(method: str, unknown: str, variant: str, seed: int) -> str:
    """One combination and seed."""
    return f"{method}, {unknown}, {variant}, {seed}"


@dataclass(frozen=True)
class Took:
    """What one way took."""

    wall: float
    cpu: float
    h: dict[str, float]


def timed(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Run a command; wall and CPU seconds, of it and its children, and what it printed."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stdout


def by_hand(params: Path, folder: Path) -> Took:
    """The loop, in a process of its own."""
    script = str(Path(__file__).resolve())
    wall, cpu, printed = timed([sys.executable, script, str(params), "--loop"], folder)
    return Took(wall, cpu, json.loads(printed))


def by_snakemake(params: Path, folder: Path, cores: int, job_minutes: float | None) -> Took:
    """``snakemake sweep`` without a fit, and the H of its table."""
    for name in FITTED:
        shutil.rmtree(folder / "results" / name, ignore_errors=True)
    command = ["snakemake", "--cores", str(cores), "sweep", "--configfile", str(params)]
    if job_minutes is not None:
        command += ["--config", f"train={{job_minutes: {job_minutes}}}"]
    wall, cpu, _ = timed(command, folder)
    frame = pd.read_parquet(next((folder / "results/sweeps").rglob("sweep.parquet")))
    rows = frame[frame["metric"] == "h"]
    columns = (rows[name] for name in ("method", "unknown", "variant", "seed", "value"))
    return Took(wall, cpu, {name_of(*row[:4]): row[4] for row in zip(*columns, strict=True)})


def scratch(project: Path, folder: Path) -> None:
    """Link all of a project but its results; of these, what is made before the fits."""
    for path in project.iterdir():
        if path.name not in ("results", "reports", "logs", ".snakemake"):
            (folder / path.name).symlink_to(path.resolve())
    (folder / "results").mkdir()
    for name in LINKED:
        shutil.copytree(project / "results" / name, folder / "results" / name, symlinks=True)


def table(took: dict[str, list[Took]]) -> Iterator[str]:
    """The least of each way, and its ratio to the loop's."""
    least = {
        way: (min(one.wall for one in each), min(one.cpu for one in each))
        for way, each in took.items()
    }
    wall, cpu = next(iter(least.values()))
    yield "| way | s | CPU s | s / loop | CPU s / loop |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for way, (seconds, work) in least.items():
        cells = (number(seconds, 1), number(work, 1), number(seconds / wall), number(work / cpu))
        yield f"| {way} | {' | '.join(cells)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("params", type=Path, help="parameters with a sweep")
    parser.add_argument("--cores", type=int, default=1, help="cores that snakemake gets")
    parser.add_argument("--rounds", type=int, default=1, help="of all ways, by turns")
    parser.add_argument("--jobs", action="store_true", help="also a job per fit and evaluation")
    parser.add_argument("--loop", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    params = arguments.params.resolve()
    if arguments.loop:
        print(json.dumps(loop(params)))
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # what a job of one core gets
    load = os.getloadavg()[0]
    took: dict[str, list[Took]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scratch(Path.cwd(), folder)
        for _ in range(arguments.rounds):
            ways = {"a loop by hand": lambda: by_hand(params, folder)}
            label = f"`snakemake --cores {arguments.cores} sweep`"
            ways[label] = lambda: by_snakemake(params, folder, arguments.cores, None)
            if arguments.jobs:
                ways[f"{label}, `train.job_minutes: 0`"] = lambda: by_snakemake(
                    params, folder, arguments.cores, 0
                )
            for way, run in ways.items():
                took.setdefault(way, []).append(run())
    by_loop, *others = (each[0].h for each in took.values())
    for other in others:
        wrong = [
            each
            for each in by_loop.keys() | other.keys()
            if not abs(by_loop.get(each, 9.0) - other.get(each, 9.0)) <= TOLERANCE
        ]
        if wrong:
            sys.exit(
                f"H of the sweep is not that of the loop: {wrong[0]} and {len(wrong) - 1} more"
            )
    lines = [
        f"{len(by_loop)} fits and evaluations, {arguments.rounds} rounds, the least of each.",
        f"{machine()}; load at the start: {load:.1f}. Commit {commit()}.",
        "",
        *table(took),
        "",
        "H of every fit is the loop's.",
    ]
    text = "\n".join(lines) + "\n"
    show(text, arguments.out)


if __name__ == "__main__":
    main()
