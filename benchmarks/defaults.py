"""What each setting of SRE-CLIP is worth on several sets, and what leaving a set out would choose.

    snakemake --cores all extract_features graph --configfile config/clip-cars.yaml
    python benchmarks/defaults.py config/clip-cars.yaml config/openmoji-splits.yaml

with one file per set, features extracted. Every split of a file's sweep is fitted with every
candidate, one seed. Prints known, unknown and H (class means, percent) of zero-shot and of each
candidate, and per set the candidate with the best mean H on the *other* sets, with its H on this
one. ``FILE:reversed`` as in `splits.py`. Run it where the features are.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from measuring import commit
from splits import Split, splits_of

from sreclip.config.methods import MethodsSettings
from sreclip.errors import SreclipError
from sreclip.evaluate.accuracy import class_mean, harmonic_mean
from sreclip.train.fits import fit, make_method, score_target

# The first are the defaults; of each other one setting differs.
CANDIDATES: list[dict[str, Any]] = [
    {},
    *({"taught": value} for value in (0.0, 0.3, 0.7)),
    *({"text_anchor": value} for value in (0.003, 0.03)),
    *({"trust": value} for value in (0.0, 0.35, 0.7)),
    *({"uncertainty": value} for value in (0.0, 0.4)),
    *({"placements": value} for value in (1, 2, 8)),
    *({"prior_images": value} for value in (100.0, 400.0)),
    *({"sharpness": value} for value in (1.0, 2.0)),
    *({"class_bias": value} for value in (0.0, 0.2, 0.5, 0.7)),
    *({"most_lift": value} for value in (2.0, 1e9)),
    *({"relation_images": value} for value in (0.0, 1.0)),
    *({"pull": value} for value in (0.0, 2.0)),
    {"full_transfer": 0.0},
]


def values(split: Split, name: str, settings: dict[str, Any]) -> list[float]:
    """Return known, unknown and H of a method, class means in percent."""
    chosen = MethodsSettings().changed(name, settings).settings(name)
    method = fit(make_method(name, chosen, 0), split.inputs)
    scores = score_target(method, split.inputs.target_features)
    right, is_known = scores.top_class[:, 0] == split.labels, split.known[split.labels]
    known, unknown = (
        class_mean(right[rows], split.labels[rows]) or 0.0 for rows in (is_known, ~is_known)
    )
    return [100 * value for value in (known, unknown, harmonic_mean(known, unknown) or 0.0)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--candidates", type=int, help="the first so many only")
    arguments = parser.parse_args()
    candidates = CANDIDATES[: arguments.candidates]
    try:
        table = {file: measured(file, candidates) for file in arguments.files}
    except SreclipError as error:
        parser.error(str(error))
    names = [", ".join(f"{key} {value:g}" for key, value in each.items()) for each in candidates]
    print(f"Known / unknown / H; commit {commit()}.\n")
    print(f"| | {' | '.join(table)} |\n| --- |{' --- |' * len(table)}")
    for number, name in enumerate(["zero-shot", "defaults", *names[1:]]):
        cells = [" / ".join(f"{value:.1f}" for value in rows[number]) for rows in table.values()]
        print(f"| {name} | {' | '.join(cells)} |")
    if len(table) > 1:
        print("\n| left out | chosen on the others | H | H of the defaults |\n|" + " --- |" * 4)
        for file, rows in table.items():
            others = [other[1:, 2] for name, other in table.items() if name != file]
            best = int(np.mean(others, axis=0).argmax())
            print(
                f"| {file} | {names[best] or 'defaults'} | {rows[1 + best, 2]:.1f} "
                f"| {rows[1, 2]:.1f} |"
            )


def measured(file: str, candidates: list[dict[str, Any]]) -> np.ndarray:
    """Return the means over splits, zero-shot first, ``(1 + n_candidates, 3)``."""
    splits = splits_of(file)
    rows = []
    # It changes no prediction.
    uncalibrated = {"calibrated": False}
    ways = [("zero_shot", {}), *(("sre_clip", each | uncalibrated) for each in candidates)]
    for name, settings in ways:
        rows.append(np.mean([values(split, name, settings) for split in splits], axis=0))
        print(f"{file} {name} {settings}: {rows[-1].round(1)}", file=sys.stderr, flush=True)
    return np.array(rows)


if __name__ == "__main__":
    main()
