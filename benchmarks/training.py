"""Time and memory of every method's fit, on synthetic features of real sizes.

    python benchmarks/training.py --size i2awa                      # all methods, some steps each
    python benchmarks/training.py --size i2awa --full --methods sre_clip_reference,sre_clip
    python benchmarks/training.py --size i2webv --scale 1/16 --out training.md

Each row of the table is measured in a process of its own. What is compared takes turns in that
process, some steps each. `docs/performance.md` says what the columns mean.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import commit, in_own_process, machine, number, peak_mb, timed

from sreclip.config.methods import MethodsSettings, Settings
from sreclip.methods import METHODS

if TYPE_CHECKING:
    import numpy as np
    from synthetic import Problem, Size

    from sreclip.methods.base import Method
    from sreclip.train.fits import FitInputs

REFERENCE = "sre_clip_reference"
TURN = 5
TOLERANCE = 1e-4
ENCODER = "ViT-B-32"


@dataclass(frozen=True)
class Options:
    """What is the same for all rows; the names are those of the command line."""

    size: str
    scale: Fraction
    steps: int
    full: bool
    threads: int
    encoded: int


@dataclass(frozen=True)
class Row:
    """A method with settings; ``compared`` with what there is to compare it with."""

    method: str
    overrides: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    compared: bool = True

    @property
    def label(self) -> str:
        """As the tables show it."""
        settings = [f"{key} {value}" for key, value in self.overrides.items()]
        settings += [f"seed {self.seed}"] if self.seed else []
        return ", ".join([f"`{self.method}`", *settings])


@dataclass(frozen=True)
class Phase:
    """Steps that are alike: how many the settings ask for, and how many are measured."""

    planned: int
    measured: int


@dataclass
class Result:
    """What one process found; seconds and megabytes."""

    summary: str
    extrapolated: bool
    step: float | None
    end: float
    peak: float
    before: float
    h: float
    predicted: np.ndarray
    steps_made: int
    plain: float | None = None
    products: float | None = None
    products_float32: float | None = None
    encoded: float | None = None
    difference: float | None = None


def shortened(settings: Any, most: int, size: Size) -> tuple[Any, list[Phase]]:
    """The settings with at most so many steps in each phase of the fit, and the phases."""
    values = settings.model_dump()
    if "epochs" in values:
        keys = size.n_known * min(values["shots"], size.n_source // size.n_known)
        a_pass = max(1, keys // values["batch_size"])
        epochs = min(values["epochs"], math.ceil(most / a_pass))
        changed = settings.changed({"epochs": epochs})
        return changed, [Phase(values["epochs"] * a_pass, epochs * a_pass)]
    warm_up = values.get("warmup_steps", 0)
    planned = values.get("regression_steps", 0), warm_up, values.get("steps", 0) - warm_up
    first, second, third = (min(n, most) for n in planned)
    changes = {"regression_steps": first, "warmup_steps": second, "steps": second + third}
    phases = [Phase(*both) for both in zip(planned, (first, second, third), strict=True) if both[0]]
    changes = {key: value for key, value in changes.items() if key in values}
    return settings.changed(changes), phases * (1 + values.get("rounds", 0))


def by_phase(seconds: list[float], phases: list[Phase]) -> list[float]:
    """Median seconds a step in each phase; its first step, with what comes before it, left out."""
    medians, start = [], 0
    for phase in phases:
        part = seconds[start : start + phase.measured]
        medians.append(statistics.median(part[1:] or part))
        start += phase.measured
    return medians


def whole(medians: list[float], phases: list[Phase]) -> float:
    """Seconds of all planned steps."""
    return sum(phase.planned * each for phase, each in zip(phases, medians, strict=True))


def take_turns(
    method: Method, inputs: FitInputs, others: dict[str, Callable[[], object]], turn: int
) -> dict[str, list[float]]:
    """Fit, and every ``turn`` steps stop the clock and let each of the others make as many.

    Returns
    -------
    dict
        Seconds of every step, of the fit under ``ours``.
    """
    from sreclip.train.fits import fit

    seconds: dict[str, list[float]] = {"ours": [], **{name: [] for name in others}}
    begun = time.perf_counter()

    def show(step: int, total: int, loss: float) -> None:
        nonlocal begun
        seconds["ours"].append(time.perf_counter() - begun)
        if step % turn == 0:
            for name, other in others.items():
                for _ in range(turn):
                    begun = time.perf_counter()
                    other()
                    seconds[name].append(time.perf_counter() - begun)
        begun = time.perf_counter()

    method.progress = show
    fit(method, inputs)
    return seconds


def measure(row: Row, options: Options) -> Result:
    """Fit and score a method, then compare its steps."""
    import torch
    from synthetic import SIZES, make_problem

    torch.set_num_threads(options.threads)
    size = SIZES[options.size].scaled(options.scale)
    problem = make_problem(size)
    settings = MethodsSettings().settings(row.method).changed(row.overrides)
    result = measure_fit(row, settings, problem, size, options)
    if row.compared:
        compare(row, settings, problem, size, options, result)
    return result


def measure_fit(
    row: Row, settings: Settings, problem: Problem, size: Size, options: Options
) -> Result:
    """Time from the ready features to the target's scores, and the memory that it takes."""
    from sreclip.evaluate.metrics import run_metrics
    from sreclip.train.fits import make_method, score_target

    inputs, before = problem.inputs, peak_mb()
    short, phases = shortened(settings, sys.maxsize if options.full else options.steps, size)
    begun = time.perf_counter()
    method = make_method(row.method, short, row.seed)
    seconds = take_turns(method, inputs, {}, 1)["ours"]
    scores = score_target(method, inputs.target_features)
    end, peak = time.perf_counter() - begun, peak_mb()
    medians = by_phase(seconds, phases)
    missing = [replace(phase, planned=phase.planned - phase.measured) for phase in phases]
    planned = sum(phase.planned for phase in phases)
    labels, known = problem.target_labels.numpy(), inputs.text.known.numpy()
    return Result(
        summary=problem.summary,
        extrapolated=any(phase.planned for phase in missing),
        step=whole(medians, phases) / planned if planned else None,
        end=end + whole(medians, missing),
        peak=peak,
        before=before,
        h=run_metrics(scores, inputs.target_ok, labels, known, 15)["h"],
        predicted=scores.top_class[:, 0],
        steps_made=sum(phase.measured for phase in phases),
    )


def compare(
    row: Row, settings: Any, problem: Problem, size: Size, options: Options, result: Result
) -> None:
    """Put the ratios into the result, of a method that has a plain loop.

    That loop is in float32, and of several rounds it makes the first.
    """
    from bounds import Encoder, ReferenceProducts
    from plain import PLAIN, loss_difference, plain_loop
    from synthetic import SIZES, make_problem

    from sreclip.train.fits import make_method

    if row.method not in PLAIN or not settings.steps:
        return
    inputs = problem.inputs
    first_round = {"rounds": 0} if hasattr(settings, "rounds") else {}
    settings, phases = shortened(settings.changed(first_round), options.steps, size)
    single = settings
    if getattr(settings, "precision", "float32") != "float32":
        single = settings.changed({"precision": "float32"})
    tiny = make_problem(SIZES["tiny"]).inputs
    result.difference = loss_difference(row.method, tiny, single)
    others: dict[str, Callable[[], object]] = {"plain": plain_loop(row.method, inputs, single).step}
    if row.method == REFERENCE:
        others["products"] = ReferenceProducts(inputs, settings).step
        if single is not settings:
            others["products_float32"] = ReferenceProducts(inputs, single).step
    method = make_method(row.method, settings, row.seed)
    turn = min(TURN, *(phase.measured for phase in phases))
    seconds = take_turns(method, inputs, others, turn)
    total = {name: whole(by_phase(each, phases), phases) for name, each in seconds.items()}
    result.plain = total["plain"] / total["ours"]
    if row.method == REFERENCE:
        result.products = total["ours"] / total["products"]
        result.products_float32 = total["ours"] / total.get("products_float32", total["products"])
    if options.encoded:
        encoder = Encoder(ENCODER, min(settings.batch_size, len(inputs.source_features)))
        batch = statistics.median(timed(encoder.step, options.encoded))
        # Source images in every step; target images, too, in the last phase if there are several.
        steps = sum(phase.planned for phase in phases)
        batches = steps + phases[-1].planned * method.transductive
        result.encoded = (batches * batch + total["plain"]) / total["ours"]


def rows_of(methods: list[str]) -> list[Row]:
    """Rows of the table.

    SRE-CLIP also with adapters, the reference in both precisions, and with another seed to compare.
    """
    rows = [Row(name) for name in methods]
    if "sre_clip" in methods:
        rows.append(Row("sre_clip", {"steps": 200}))
    if REFERENCE in methods:
        rows.append(Row(REFERENCE, {"precision": "bfloat16"}))
        rows.append(Row(REFERENCE, seed=1, compared=False))
    return rows


def run(rows: list[Row], options: Options, one_process: bool) -> Iterator[tuple[Row, Result]]:
    """Measure row by row; one that fails is told of, and left out."""
    call = measure if one_process else partial(in_own_process, measure)
    for row in rows:
        print(row.label, file=sys.stderr, flush=True)
        try:
            result = call(row, options)
        # Whatever it is, a long benchmark should not lose its other rows.
        except Exception as error:
            print(f"{row.label} failed: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        yield row, result


def main_table(results: list[tuple[Row, Result]]) -> Iterator[str]:
    """Ratios first."""
    yield (
        "| method | plain / ours | ours / products | re-encoding / ours | s a step | s to the end "
        "| peak MB | MB before the fit |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row, result in results:
        if row.compared:
            end = ("~ " if result.extrapolated else "") + number(result.end, 1)
            cells = [
                *(number(ratio) for ratio in (result.plain, result.products, result.encoded)),
                number(result.step, 4),
                end,
                *(number(memory, 0) for memory in (result.peak, result.before)),
            ]
            yield f"| {row.label} | {' | '.join(cells)} |"


def precision_table(results: list[tuple[Row, Result]]) -> Iterator[str]:
    """The reference in both precisions, and float32 with another seed as a yardstick."""
    found = [(row, result) for row, result in results if row.method == REFERENCE]
    if not found:
        return
    first = found[0][1]
    judged = ", too few to judge accuracy by (`--full`)" if first.extrapolated else ""
    yield ""
    yield f"`{REFERENCE}` after {first.steps_made:,} steps on the planted problem{judged}:"
    yield ""
    yield (
        "| | ours / products | ours / float32 products | H, class means | "
        "same prediction as the first |"
    )
    yield "| --- | ---: | ---: | ---: | ---: |"
    for row, result in found:
        same = 100 * float((result.predicted == first.predicted).mean())
        ratios = f"{number(result.products)} | {number(result.products_float32)}"
        label = row.label.partition(", ")[2] or "precision float32"
        yield f"| {label} | {ratios} | {100 * result.h:.1f} | {same:.1f} % |"


def document(results: list[tuple[Row, Result]], options: Options, load: float) -> str:
    """Everything in Markdown."""
    scale = "" if options.scale == 1 else f" at a scale of {options.scale}"
    measured = (
        "To the end." if options.full else f"{options.steps} steps of each phase, `~` from them."
    )
    lines = [
        f"Size {options.size}{scale}: {results[0][1].summary}.",
        f"{machine()}; threads: {options.threads}; load at the start: {load:.1f}.",
        f"Commit {commit()}. {measured}",
        "",
        *main_table(results),
        *precision_table(results),
    ]
    differences = [result.difference for _, result in results if result.difference is not None]
    if differences:
        verdict = "equal" if max(differences) <= TOLERANCE else "NOT equal"
        lines += [
            "",
            f"First losses of the plain loops are {verdict} to ours ({max(differences):.0e}).",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("i2awa", "i2webv", "tiny"), default="i2awa")
    parser.add_argument("--scale", type=Fraction, default=Fraction(1), help="share of the images")
    parser.add_argument("--methods", type=lambda text: text.split(","), default=list(METHODS))
    parser.add_argument("--steps", type=int, default=60, help="steps to measure in each phase")
    parser.add_argument("--full", action="store_true", help="run each fit to its end")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--encoded", type=int, default=2, help="batches to encode; 0: none")
    parser.add_argument("--one-process", action="store_true", help="quick; memory then adds up")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.methods if name not in METHODS]
    if unknown or arguments.steps < 1 or not 0 < arguments.scale <= 1:
        parser.error(f"no such method: {', '.join(unknown)}" if unknown else "steps or scale")
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    options = Options(**{entry.name: getattr(arguments, entry.name) for entry in fields(Options)})
    load, rows = os.getloadavg()[0], rows_of(arguments.methods)
    results: list[tuple[Row, Result]] = []
    text = ""
    for measured in run(rows, options, arguments.one_process):
        results.append(measured)
        text = document(results, options, load)
        # After each row: a long benchmark may be stopped.
        if arguments.out:
            arguments.out.write_text(text, encoding="utf-8")
    print(text, end="")
    bad = [result for _, result in results if (result.difference or 0) > TOLERANCE]
    sys.exit(1 if bad or len(results) < len(rows) else 0)


if __name__ == "__main__":
    main()
