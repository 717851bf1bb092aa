"""Compare methods over many known/unknown splits of the features that the pipeline cached.

    snakemake --cores all extract_features graph        # once
    python benchmarks/splits.py --draws 8               # 8 random splits
    python benchmarks/splits.py --pairs                 # every choice of 2 unknown classes

Writes a table in Markdown to standard output: class means in percent, mean over splits and seeds,
and in how many splits a method is at least as good as zero-shot on known, unknown and H.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sreclip.config import Params, load_params
from sreclip.data.manifest import read_target_labels
from sreclip.methods import METHODS
from sreclip.metrics import run_metrics
from sreclip.plan import Plan
from sreclip.registry import load_registered
from sreclip.training import FitInputs, load_inputs

DETERMINISTIC = ("zero_shot", "transclip")
COLUMNS = ("known", "unknown", "h", "all", "zsl", "ausuc")


def splits(names: list[str], draws: int, size: int, pairs: bool, first: int) -> Iterator[list[str]]:
    """Unknown classes of each split."""
    if pairs:
        yield from (list(pair) for pair in itertools.combinations(names, 2))
        return
    for seed in range(first, first + draws):
        order = np.random.default_rng(seed).permutation(len(names))
        yield [names[i] for i in sorted(order[:size])]


def with_unknown(params: Params, unknown: list[str]) -> Plan:
    """Give the plan of another split."""
    split = params.split.model_copy(update={"unknown": unknown})
    return Plan(params.model_copy(update={"split": split}))


def predict(name: str, plan: Plan, inputs: FitInputs, seed: int) -> np.ndarray:
    """Target logits of a method, ``(n_target, n_classes)``."""
    settings = getattr(plan.params.methods, name).model_dump()
    method = load_registered("method", name, METHODS)(**settings, seed=seed)
    method.fit(
        inputs.source_features,
        inputs.source_labels,
        inputs.target_features,
        inputs.text,
        inputs.graph,
    )
    return method.logits(inputs.target_features).cpu().numpy()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--draws", type=int, default=8, help="random splits")
    parser.add_argument("--first", type=int, default=0, help="seed of the first random split")
    parser.add_argument("--size", type=int, help="unknown classes of a random split")
    parser.add_argument("--pairs", action="store_true", help="every pair of classes instead")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()

    params = load_params(arguments.params)
    base = Plan(params)
    names = [entry.name for entry in base.classes]
    size = arguments.size or int((~base.known).sum())
    chosen = list(splits(names, arguments.draws, size, arguments.pairs, arguments.first))
    methods = list(dict.fromkeys([*DETERMINISTIC, *params.methods.run]))
    rows: dict[str, list[list[float]]] = {method: [] for method in methods}
    for unknown in tqdm(chosen, desc="splits", disable=None):
        plan = with_unknown(params, unknown)
        inputs = load_inputs(plan)
        labels = read_target_labels(plan.task_dir, inputs.target_row_id)[inputs.target_ok]
        for name in methods:
            runs = []
            for seed in range(1 if name in DETERMINISTIC else arguments.seeds):
                logits = predict(name, plan, inputs, seed)
                ok = np.ones(len(labels), dtype=bool)
                metrics = run_metrics(logits, ok, labels, plan.known, 15)
                runs.append([metrics[column] for column in COLUMNS])
            rows[name].append(np.mean(runs, axis=0).tolist())

    print(f"{len(chosen)} splits, {arguments.seeds} seeds, {len(labels)} target pictures\n")
    print("| method | " + " | ".join(COLUMNS) + " | not below zero-shot: known, unknown, h |")
    print("| --- |" + " --- |" * (len(COLUMNS) + 1))
    frozen = np.array(rows["zero_shot"])[:, :3]
    for name in methods:
        values = np.array(rows[name])
        shown = " | ".join(f"{100 * value:.1f}" for value in values.mean(axis=0))
        wins = ", ".join(str(n) for n in (values[:, :3] >= frozen - 1e-9).sum(axis=0))
        print(f"| `{name}` | {shown} | {wins} of {len(chosen)} |")


if __name__ == "__main__":
    main()
