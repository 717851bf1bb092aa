"""Every method with and without last transductive steps, over the splits of a sweep.

    snakemake --cores all extract_features graph --configfile config/clip-cars.yaml
    python benchmarks/refinements.py --params config/clip-cars.yaml

Prints the mean H (class means, percent) per method and steps, with one seed, and the seconds per
fit; the best of a column is bold. ``--metric ausuc`` prints the area under the curve of known and
unknown instead, ``--times K`` multiplies all logits before the first step; ``FILE:reversed`` as in
`splits.py`. Run it where the features were extracted. Each method is fitted once per split, so that
this takes a fraction of a sweep's time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np
import torch
from measuring import commit
from splits import Split, method_names, plan_of, splits_of

from sreclip.config.methods import METHOD_NAMES, MethodsSettings
from sreclip.errors import SreclipError
from sreclip.evaluate.metrics import run_metrics
from sreclip.methods.logits import collect
from sreclip.refinement import Refinement
from sreclip.refinement.refine import refine
from sreclip.train.fits import fit, make_method

ECE_BINS = 15  # not printed
STEPS: dict[str, tuple[Refinement, ...]] = {
    "none": (),
    "class bias": ("class_bias",),
    "TransCLIP": ("transclip",),
    "StatA": ("stata",),
    "bias, TransCLIP": ("class_bias", "transclip"),
    "bias, StatA": ("class_bias", "stata"),
}


def seconds_and_values(
    split: Split, methods: MethodsSettings, name: str, times: float, metric: str
) -> list[float]:
    """Return the seconds of a fit and the metric after each of `STEPS`."""
    every = np.ones(len(split.labels), dtype=bool)
    start = time.perf_counter()
    method = fit(make_method(name, methods.settings(name), 0), split.inputs)
    features, known = split.inputs.target_features, split.inputs.text.known
    with torch.inference_mode():
        blocks = list(method.logit_blocks(features))
        found = [time.perf_counter() - start]
        adapted = method.image_features(features)
        blocks = [block._replace(logits=times * block.logits) for block in blocks]
        for steps in STEPS.values():
            refined, _ = refine(steps, adapted, method.anchors(), blocks)
            scores = collect(refined, len(features), known)
            values = run_metrics(scores, every, split.labels, split.known, ECE_BINS)
            found.append(100 * values[metric])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", default="params.yaml", help="file of parameters")
    parser.add_argument("--splits", type=int, help="look at the first so many splits only")
    parser.add_argument("--methods", type=method_names, default=METHOD_NAMES)
    parser.add_argument("--times", type=float, default=1.0, help="factor of all logits")
    parser.add_argument("--metric", choices=["h", "ausuc"], default="h")
    arguments = parser.parse_args()
    try:
        measure(
            arguments.params,
            arguments.methods,
            arguments.splits,
            arguments.times,
            arguments.metric,
        )
    except SreclipError as error:
        parser.error(str(error))


def measure(file: str, names: Sequence[str], most: int | None, times: float, metric: str) -> None:
    """Print the table."""
    splits, methods = splits_of(file)[:most], plan_of(file).params.methods
    print(f"{file}, splits: {len(splits)}, {metric}; commit {commit()}.\n")
    rows = []
    for name in names:
        each = [seconds_and_values(split, methods, name, times, metric) for split in splits]
        rows.append(np.mean(each, axis=0))
        print(f"{name}: {rows[-1].round(1)}", file=sys.stderr, flush=True)
    table = np.array(rows)
    best = table[:, 1:].round(1).max(axis=0)
    print(f"\n| method | {' | '.join(STEPS)} | seconds |")
    print(f"| --- |{' ---: |' * (len(STEPS) + 1)}")
    for name, (seconds, *values) in zip(names, table, strict=True):
        cells = [
            f"**{value:.1f}**" if round(value, 1) == top else f"{value:.1f}"
            for value, top in zip(values, best, strict=True)
        ]
        print(f"| `{name}` | {' | '.join(cells)} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
