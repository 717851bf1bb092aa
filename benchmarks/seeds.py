"""Fits with several seeds: one after another, and as one batch, by turns.

    python benchmarks/seeds.py --seeds 5                       # openmoji, with the features made
    python benchmarks/seeds.py --size i2awa --seeds 5 --threads 1

Whole fits and the scores of the target; the least time of each way counts. The demo's features are
those of `params.yaml`: `snakemake --cores all extract_features graph` makes them.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import commit, in_own_process, machine, number, peak_mb

if TYPE_CHECKING:
    from sreclip.train.fits import FitInputs

PARAMS = Path(__file__).parents[1] / "params.yaml"


def inputs_of(size: str) -> FitInputs:
    """The demo's inputs, or made-up ones."""
    if size != "demo":
        from synthetic import SIZES, make_problem

        return make_problem(SIZES[size]).inputs
    from sreclip.config.load import load_params
    from sreclip.plan.plan import Plan
    from sreclip.train.inputs import load_inputs

    return load_inputs(Plan(load_params(PARAMS), PARAMS.parent))


def measured(
    size: str, method: str, seeds: int, threads: int, rounds: int
) -> tuple[list[float], list[float], float]:
    """Seconds of each round one after another and together, and the peak memory."""
    import torch

    from sreclip.config.methods import MethodsSettings
    from sreclip.train.fits import fit_seeds, make_method, score_target

    torch.set_num_threads(threads)
    inputs, settings = inputs_of(size), MethodsSettings().settings(method)

    def fit_groups(size_of_each: int) -> float:
        begun = time.perf_counter()
        for first in range(0, seeds, size_of_each):
            group = range(first, min(seeds, first + size_of_each))
            for fitted in fit_seeds([make_method(method, settings, n) for n in group], inputs):
                score_target(fitted, inputs.target_features)
        return time.perf_counter() - begun

    apart, together = [], []
    for _ in range(rounds):
        apart.append(fit_groups(1))
        together.append(fit_groups(seeds))
    return apart, together, peak_mb()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("demo", "i2awa", "tiny"), default="demo")
    parser.add_argument(
        "--methods", type=lambda text: text.split(","), default=["clip_adapter", "taskres"]
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    print(f"{given.size}, {given.seeds} seeds. {machine()}; threads: {given.threads}.")
    print(f"Commit {commit()}; load at the start: {os.getloadavg()[0]:.1f}.\n")
    print("| method | one after another: s | together: s | times as fast | peak MB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in given.methods:
        row = given.size, name, given.seeds, given.threads, given.rounds
        apart, together, peak = in_own_process(measured, *row)
        ratio = number(min(apart) / min(together))
        times = f"{number(min(apart), 1)} | {number(min(together), 1)}"
        print(f"| `{name}` | {times} | {ratio} | {number(peak, 0)} |", flush=True)


if __name__ == "__main__":
    main()
