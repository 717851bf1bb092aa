"""Several seeds as one model, the mean of their log-probabilities, beside each seed alone.

    snakemake --cores all extract_features graph --configfile config/openmoji-splits.yaml
    python benchmarks/averaged.py --params config/openmoji-splits.yaml

Prints H (class means, percent, mean over the splits of a sweep): the mean over seeds, the least and
the largest seed, and that of all seeds together, as `sreclip predict` counts them. Run it where the
features are; ``FILE:reversed`` as in `splits.py`.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from measuring import commit
from splits import Split, method_names, plan_of, splits_of

from sreclip.config.methods import MethodsSettings
from sreclip.errors import SreclipError
from sreclip.evaluate.accuracy import class_mean_h
from sreclip.methods.logits import Block, assemble, collect
from sreclip.train.fits import fit_seeds, make_method

METHODS = ["clip_adapter", "tip_adapter_f", "taskres", "gcn_zsl"]


def accuracies(split: Split, methods: MethodsSettings, name: str, seeds: int) -> list[float]:
    """Return H of each seed, and last of all together."""
    features, known = split.inputs.target_features, split.inputs.text.known
    shape = len(features), len(known)
    made = [make_method(name, methods.settings(name), seed) for seed in range(seeds)]
    tables = [
        assemble(fitted.logit_blocks(features), *shape).log_softmax(dim=1)
        for fitted in fit_seeds(made, split.inputs)
    ]
    found = []
    for table in [*tables, torch.stack(tables).mean(dim=0)]:
        blocks = [Block(torch.arange(shape[0]), torch.arange(shape[1]), table)]
        scores = collect(blocks, shape[0], known)
        found.append(100 * class_mean_h(scores, split.labels, split.known))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", default="params.yaml", help="file of parameters")
    parser.add_argument("--methods", type=method_names, default=METHODS)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    try:
        splits, methods = splits_of(arguments.params), plan_of(arguments.params).params.methods
    except SreclipError as error:
        parser.error(str(error))
    print(f"{arguments.params}, splits: {len(splits)}, seeds: {arguments.seeds}.", end=" ")
    print(f"Commit {commit()}.\n\n| method | one seed | least to largest | together |")
    print("| --- | ---: | ---: | ---: |")
    for name in arguments.methods:
        rows = np.mean([accuracies(s, methods, name, arguments.seeds) for s in splits], axis=0)
        alone, together = rows[:-1], rows[-1]
        apart = f"{alone.min():.1f} to {alone.max():.1f}"
        print(f"| `{name}` | {alone.mean():.1f} | {apart} | {together:.1f} |", flush=True)


if __name__ == "__main__":
    main()
