"""The whole pipeline at I2WebV's size on planted features: time and memory of every step.

    python benchmarks/scale.py --work /tmp/scale --scale 1/16 --methods zero_shot,zlap,sre_clip
    python benchmarks/scale.py --work /tmp/scale --scale 1/16,1/8,1/4 --out scale.md

Features of the true shape go through store, graph, fits, evaluation, comparison and page, each step
in a process of its own, and the results are worked out again from the features.
`docs/performance.md` says what is planted and what the table shows.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import commit, in_own_process, machine, number, peak_mb
from planted import LOGIT_SCALE, Shape

from sreclip.config.methods import MethodsSettings, Settings
from sreclip.methods import METHODS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sreclip.plan.plan import Plan

# It does not take all images: see docs/performance.md.
SETTINGS: dict[str, dict[str, Any]] = {"linear_probe": {"shots": 4}}
NEARLY_EQUAL = 1e-3
ROUNDING = 1e-9


@dataclass(frozen=True)
class Step:
    """What one process took: seconds by the clock and of processors, and megabytes."""

    name: str
    seconds: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Run:
    """One scale: where its files lie and what is run."""

    work: str
    shape: Shape
    methods: tuple[str, ...]
    steps: int
    neighbours: str

    @property
    def folder(self) -> Path:
        """Folder of this scale alone."""
        scale = f"{self.shape.scale.numerator}-{self.shape.scale.denominator}"
        return Path(self.work) / f"scale-{scale}"

    def plan(self) -> Plan:
        """The plan of a folder task with these methods."""
        from sreclip.config.load import parse_params
        from sreclip.plan.plan import Plan

        settings = {
            name: {"neighbours": self.neighbours, **SETTINGS.get(name, {})} for name in self.methods
        }
        if self.steps:
            for name in self.methods:
                settings[name] |= at_most(MethodsSettings().settings(name), self.steps)
        values = {
            "task": {"name": "folder", "folder": {"root": str(self.folder / "images")}},
            "split": {"unknown": "auto"},
            "backbone": {"name": "open_clip", "open_clip": {"model": "ViT-B-32"}},
            "prompts": {"templates": ["a photo of a {}."]},
            "methods": {"run": list(self.methods), **settings},
            "train": {"seeds": [0]},
            "report": {"images": 0},
        }
        params = parse_params(values, "the benchmark's parameters")
        return Plan(params, self.folder)


def at_most(settings: Settings, steps: int) -> dict[str, int]:
    """What to change so that each phase of a fit has no more than so many steps."""
    values = settings.model_dump()
    warm_up = min(values.get("warmup_steps", 0), steps)
    limits = {
        "warmup_steps": warm_up,
        "steps": warm_up + steps,
        "regression_steps": steps,
        "epochs": 1,
        "l2_count": 1,
    }
    return {key: limit for key, limit in limits.items() if values.get(key, 0) > limit}


def measured(action: str, run: Run, argument: str) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak memory of one action, called in its own process."""
    begun, worked = time.perf_counter(), time.process_time()
    ACTIONS[action](run.plan(), run.shape, argument)
    return time.perf_counter() - begun, time.process_time() - worked, peak_mb()


def prepare(plan: Plan, shape: Shape, argument: str) -> None:
    from planted import write_planted_task

    write_planted_task(plan, shape)


def graph(plan: Plan, shape: Shape, argument: str) -> None:
    from sreclip.graph.build import build_graph

    build_graph(plan)


def texts(plan: Plan, shape: Shape, argument: str) -> None:
    from planted import write_planted_texts

    write_planted_texts(plan, shape.vectors)


def images(plan: Plan, shape: Shape, argument: str) -> None:
    from planted import write_planted_images

    write_planted_images(plan)


def read(plan: Plan, shape: Shape, argument: str) -> None:
    from sreclip.train.inputs import load_inputs

    load_inputs(plan)


def fit(plan: Plan, shape: Shape, argument: str) -> None:
    from sreclip.train.method import fit_method

    fit_method(plan, argument, progress=False)


def evaluate(plan: Plan, shape: Shape, argument: str) -> None:
    from sreclip.evaluate.evaluation import evaluate_method

    evaluate_method(plan, argument)


def compare(plan: Plan, shape: Shape, argument: str) -> None:
    from sreclip.evaluate.comparison import compare_methods

    compare_methods(plan)


def page(plan: Plan, shape: Shape, argument: str) -> None:
    from sreclip.report.page import write_page

    write_page(plan)


ACTIONS: dict[str, Callable[[Plan, Shape, str], None]] = {
    function.__name__: function
    for function in (prepare, graph, texts, images, read, fit, evaluate, compare, page)
}


def steps_of(methods: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Name, action and argument of every step, in order."""
    yield "manifest and shards", "prepare", ""
    yield "graph and similarities", "graph", ""
    yield "text vectors", "texts", ""
    yield "image features, written", "images", ""
    yield "inputs of a fit, read", "read", ""
    for name in methods:
        yield f"fit `{name}`", "fit", name
        yield f"evaluate `{name}`", "evaluate", name
    yield "compare, with bootstrap", "compare", ""
    yield "page", "page", ""


def key_of(run: Run, action: str, argument: str) -> str:
    """Content key of what the later steps make."""
    plan = run.plan()
    keys: dict[str, Callable[[], str]] = {
        "fit": lambda: plan.fit(argument).key,
        "evaluate": lambda: plan.evaluation(argument).key,
        "compare": lambda: plan.comparison.key,
        "page": lambda: plan.page.key,
    }
    return keys[action]() if action in keys else ""


def run_steps(run: Run, one_process: bool) -> Iterator[Step]:
    """Make every step; what an earlier call with the same keys measured is taken as it is."""
    log = run.folder / "steps.json"
    log.parent.mkdir(parents=True, exist_ok=True)
    done = json.loads(log.read_text(encoding="utf-8")) if log.exists() else {}
    for name, action, argument in steps_of(run.methods):
        key = f"{name} {key_of(run, action, argument)}".strip()
        if key not in done:
            print(f"{run.shape.scale}: {name}", file=sys.stderr, flush=True)
            call = measured if one_process else partial(in_own_process, measured)
            done[key] = call(action, run, argument)
            log.write_text(json.dumps(done), encoding="utf-8")
        yield Step(name, *done[key])


@dataclass(frozen=True)
class Checks:
    """What was worked out again."""

    lines: tuple[str, ...]
    good: bool


def check(run: Run) -> Checks:
    """Work the results out again from features, planted labels and predictions."""
    import pandas as pd
    from planted import planted_labels

    plan = run.plan()
    labels = planted_labels(plan)[plan.domain_shards("target")[0].start :]
    comparison = json.loads((plan.comparison["metrics.json"]).read_text(encoding="utf-8"))
    reported = comparison["folder"][plan.params.backbone.label]
    table = _results_table(plan.comparison["results.csv"])
    chance = 1 / len(plan.classes)
    lines, verdicts = [], []

    def say(good: bool, line: str) -> None:
        verdicts.append(bool(good))
        lines.append(f"- {line}: {'yes' if good else 'NO'}")

    for name in run.methods:
        frame = pd.read_parquet(plan.evaluation(name)["predictions.parquet"])
        predicted = frame["predicted"].to_numpy()
        own = plain_metrics(predicted, labels, plan.known)
        differences = [abs(own[key] - reported[name][key]["mean"]) for key in own]
        differences += [abs(own[key] - table[name, key]) for key in own]
        rows_agree = (frame["label"].to_numpy() == labels).all() and len(frame) == len(labels)
        summary = ", ".join(f"{key} {100 * own[key]:.2f}" for key in ("known", "unknown", "h"))
        say(
            rows_agree and max(differences) < ROUNDING,
            f"`{name}` ({summary}): {len(frame):,} target rows with the planted labels, and the "
            f"report's accuracies are those of the predictions",
        )
        # A fit that was cut short may have learned nothing yet.
        if not run.steps or name == "zero_shot":
            say(own["all_micro"] > 2 * chance, f"`{name}` is better than twice chance")
        if name == "zero_shot":
            differ, near = _zero_shot_differences(plan, predicted)
            say(differ == near, f"zero-shot again in numpy; {differ} of {len(labels):,} differ")
        refused = int((predicted < 0).sum())
    evaluation = json.loads((plan.evaluation(name)["evaluation.json"]).read_text("utf-8"))
    say(
        (evaluation["n_images"], evaluation["n_rejected"]) == (len(labels), refused),
        f"counts: {len(labels):,} labelled target images, {refused} of them rejected",
    )
    html = plan.page["index.html"].read_text(encoding="utf-8")
    shown = [f"{100 * reported[name]['h']['mean']:.1f}" for name in run.methods]
    say(all(h in html for h in shown), "the page shows these H")
    return Checks(tuple(lines), all(verdicts))


def plain_metrics(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], known: NDArray[np.bool_]
) -> dict[str, float]:
    """Accuracies by the book, class by class."""
    import numpy as np

    right = predicted == labels
    of_class = {c: float(right[labels == c].mean()) for c in np.unique(labels).tolist()}
    known_mean = float(np.mean([share for c, share in of_class.items() if known[c]]))
    unknown_mean = float(np.mean([share for c, share in of_class.items() if not known[c]]))
    return {
        "known": known_mean,
        "unknown": unknown_mean,
        "h": 2 * known_mean * unknown_mean / max(known_mean + unknown_mean, 1e-12),
        "all_micro": float(right.mean()),
        "known_micro": float(right[known[labels]].mean()),
        "unknown_micro": float(right[~known[labels]].mean()),
    }


def _zero_shot_differences(plan: Plan, predicted: NDArray[np.int64]) -> tuple[int, int]:
    """Predictions that differ from numpy's, and how many of those are as good as ties."""
    import h5py
    import numpy as np
    from planted import ROWS, target_shards

    with h5py.File(plan.text("classes").path) as file:
        text = file["features"][:]
    differ = near = done = 0
    for features, ok in target_shards(plan):
        for start in range(0, len(features), ROWS):
            part = slice(start, start + ROWS)
            logits = LOGIT_SCALE * features[part].astype(np.float32) @ text.T
            rows = np.arange(len(logits))
            best = np.where(ok[part], logits.argmax(axis=1), -1)
            theirs = predicted[done : done + len(best)]
            off = np.flatnonzero(best != theirs)
            differ += len(off)
            gap = logits[rows[off], best[off]] - logits[rows[off], theirs[off]]
            near += int((gap < NEARLY_EQUAL).sum())
            done += len(best)
    return differ, near


def _results_table(path: Path) -> dict[tuple[str, str], float]:
    with path.open(encoding="utf-8", newline="") as handle:
        return {
            (row["method"], row["metric"]): float(row["mean"]) for row in csv.DictReader(handle)
        }


def cells_of(step: Step | None) -> tuple[str, str, str]:
    """Three cells of the table."""
    if step is None:
        return "-", "-", "-"
    return number(step.seconds, 1), number(step.cpu, 1), number(step.peak, 0)


def document(found: dict[Fraction, list[Step]], checks: dict[Fraction, Checks], run: Run) -> str:
    """Everything in Markdown."""
    scales = list(found)
    first = {step.name: step for step in found[scales[0]]}
    last = {step.name: step for step in found[scales[-1]]}
    factor = float(scales[-1] / scales[0])
    lines = [
        f"{run.shape.n_known:,} known and {run.shape.n_unknown:,} unknown classes; "
        + "; ".join(
            f"{scale}: {size.n_source:,} + {size.n_target:,} images"
            for scale in scales
            for size in [Shape(scale, run.shape.n_known, run.shape.n_unknown)]
        )
        + ".",
        f"{machine()}; threads: {os.environ.get('OMP_NUM_THREADS', 'all')}. Commit {commit()}."
        + (f" At most {run.steps} steps a phase of a fit." if run.steps else "")
        + f" Neighbours: {run.neighbours}.",
        "",
        "| step | " + " | ".join(f"{scale}: s | CPU s | MB" for scale in scales) + " | growth |",
        "| --- |" + " ---: |" * (3 * len(scales) + 1),
    ]
    for name, small in first.items():
        by_scale = [{step.name: step for step in found[scale]}.get(name) for scale in scales]
        cells = [cell for step in by_scale for cell in cells_of(step)]
        growth = (
            number(last[name].cpu / small.cpu / factor) if name in last and len(scales) > 1 else "-"
        )
        lines.append(f"| {name} | {' | '.join(cells)} | {growth} |")
    for scale, checked in checks.items():
        lines += ["", f"At {scale}:", "", *checked.lines]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for everything made")
    parser.add_argument(
        "--scale",
        type=lambda text: [Fraction(part) for part in text.split(",")],
        default=[Fraction(1, 16)],
        help="shares of the images, ascending",
    )
    parser.add_argument("--methods", type=lambda text: text.split(","), default=list(METHODS))
    parser.add_argument("--known", type=int, default=1000)
    parser.add_argument("--unknown", type=int, default=4000)
    parser.add_argument("--text-vectors", default="", help="folder of CLIP's vectors of LVIS names")
    parser.add_argument("--steps", type=int, default=0, help="most steps of a phase; 0: all")
    parser.add_argument("--neighbours", choices=["exact", "approximate"], default="exact")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="leave the features in the folder")
    parser.add_argument("--one-process", action="store_true", help="quick; memory then adds up")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.methods if name not in METHODS]
    if unknown or not all(0 < scale <= 1 for scale in arguments.scale):
        parser.error(f"no such method: {', '.join(unknown)}" if unknown else "scale")
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    found: dict[Fraction, list[Step]] = {}
    checks: dict[Fraction, Checks] = {}
    text = ""
    for scale in sorted(arguments.scale):
        shape = Shape(scale, arguments.known, arguments.unknown, arguments.text_vectors)
        run = Run(
            str(arguments.work),
            shape,
            tuple(arguments.methods),
            arguments.steps,
            arguments.neighbours,
        )
        found[scale] = []
        for step in run_steps(run, arguments.one_process):
            found[scale].append(step)
            print(json.dumps(asdict(step)), file=sys.stderr, flush=True)
        checks[scale] = check(run) if arguments.one_process else in_own_process(check, run)
        if not arguments.keep:
            shutil.rmtree(run.plan().feature_dir)
        text = document(found, checks, run)
        if arguments.out:
            arguments.out.write_text(text, encoding="utf-8")
    print(text, end="")
    sys.exit(0 if all(checked.good for checked in checks.values()) else 1)


if __name__ == "__main__":
    main()
