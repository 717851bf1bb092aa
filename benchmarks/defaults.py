"""What each setting of SRE-CLIP is worth on several sets, and what leaving a set out would choose.

    snakemake --cores all extract_features graph --configfile config/clip-cars.yaml
    python benchmarks/defaults.py config/clip-cars.yaml config/openmoji-splits.yaml

with one file per set, features extracted. Every split of a file's sweep is fitted with every
candidate, one seed. Prints known, unknown and H (class means, percent) of zero-shot and of each
candidate, and per set the candidate with the best mean H on the *other* sets, with its H on this
one. ``FILE:reversed`` takes the domains the other way round. Run it where the features are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import commit
from splits import Split, plans_of

from sreclip.config import load_params
from sreclip.config.methods import MethodsSettings
from sreclip.errors import SreclipError
from sreclip.evaluate.accuracy import class_mean, harmonic_mean
from sreclip.plan.plan import Plan
from sreclip.train.fits import fit, make_method, score_target

REVERSED = ":reversed"
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


def splits_of(file: str) -> list[Split]:
    """Return every split of a file's sweep."""
    plan = Plan(load_params(Path(file.removesuffix(REVERSED))))
    found = [Split.of(each) for each in plans_of(plan)]
    return _reversed(found) if file.endswith(REVERSED) else found


def parser_of_splits(text: str) -> argparse.ArgumentParser:
    """Return the parser of a script that looks at ``splits`` of ``files``; see `some_splits`."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--splits", type=int, help="look at so many splits of a set only")
    return parser


def some_splits(parser: argparse.ArgumentParser, file: str, most: int | None) -> list[Split]:
    """Return at most so many splits of a file, evenly spaced; end where it cannot be read."""
    try:
        splits = splits_of(file)
    except SreclipError as error:
        parser.error(str(error))
    return splits[:: max(1, len(splits) // (most or len(splits)))][:most]


def _reversed(splits: list[Split]) -> list[Split]:
    """Return splits whose source is the target, and the other way round.

    Source images of a split's unknown classes come from the other splits.
    """
    features: dict[int, torch.Tensor] = {}
    for split in splits:
        for number in split.inputs.source_labels.unique().tolist():
            rows = split.inputs.source_labels == number
            features.setdefault(number, split.inputs.source_features[rows])
    target = torch.cat([features[number] for number in sorted(features)])
    labels = np.repeat(sorted(features), [len(features[number]) for number in sorted(features)])
    found = []
    for split in splits:
        kept = torch.from_numpy(split.known[split.labels])
        source = split.inputs.target_features[kept], torch.from_numpy(split.labels)[kept]
        found.append(split.with_source(*source).with_target(target, labels))
    return found


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
