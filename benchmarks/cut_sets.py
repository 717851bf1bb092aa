"""SRE-CLIP beside zero-shot on sets with fewer or other images than they have.

    snakemake --cores all extract_features graph --configfile config/clip-caltech101.yaml
    python benchmarks/cut_sets.py config/clip-caltech101.yaml config/pacs-pairs.yaml --splits 3

with one file per set, features extracted; ``FILE:reversed`` as in `splits.py`. Every case is cut
from each of the first splits, evenly spaced with ``--splits``, with one seed. Prints known /
unknown / H (class means, percent) of both. Run it where the features are. ``--settings
'{"relation_images": 0}'`` changes settings of SRE-CLIP.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import torch
from defaults import values
from measuring import commit
from numpy.typing import NDArray
from splits import Split, parser_of_splits, some_splits

from sreclip.config.methods import MethodsSettings

LARGEST_TO_SMALLEST = 50
DRAWS = 10
Rows = NDArray[np.int64]


def keep(split: Split, rows: Rows) -> Split:
    """Keep some target images."""
    features = split.inputs.target_features[torch.from_numpy(rows)]
    return split.with_target(features, split.labels[rows])


def of_each_class(labels: NDArray[np.int64], most: Callable[[int, int], int]) -> Rows:
    """Return rows drawn from each class: of the class at a drawn rank, with so many images."""
    draw = np.random.default_rng(0)
    kept = []
    for rank, number in enumerate(draw.permutation(np.unique(labels))):
        rows = draw.permutation(np.flatnonzero(labels == number))
        kept.append(rows[: max(1, most(rank, len(rows)))])
    return np.sort(np.concatenate(kept))


def long_tail(split: Split) -> Split:
    """Cut classes down geometrically, by a drawn rank."""
    last = len(np.unique(split.labels)) - 1

    def most(rank: int, n: int) -> int:
        return round(n * LARGEST_TO_SMALLEST ** (-rank / last))

    return keep(split, of_each_class(split.labels, most))


def thirty(split: Split, draw: int) -> Split:
    """Keep thirty target images."""
    rows = np.random.default_rng(draw).permutation(len(split.labels))[:30]
    return keep(split, np.sort(rows))


def only(split: Split, known: bool) -> Split:
    """Keep the target images of known or of unknown classes."""
    return keep(split, np.flatnonzero(split.known[split.labels] == known))


def shots(split: Split, n: int) -> Split:
    """Keep n source images per class."""
    labels = split.inputs.source_labels.numpy()
    rows = torch.from_numpy(of_each_class(labels, lambda *_: n))
    inputs = split.inputs
    return split.with_source(inputs.source_features[rows], inputs.source_labels[rows])


def shuffled(split: Split) -> Split:
    """Give the source images each other's labels."""
    labels = split.inputs.source_labels
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))
    return split.with_source(split.inputs.source_features, labels[order])


def one_domain(split: Split) -> Split:
    """Half of each class of the target is the source, where the class is known."""
    source = of_each_class(split.labels, lambda _, n: n // 2)
    target = np.setdiff1d(np.arange(len(split.labels)), source)
    source = source[split.known[split.labels[source]]]
    features = split.inputs.target_features[torch.from_numpy(source)]
    taught = split.with_source(features, torch.from_numpy(split.labels[source]))
    return keep(taught, target)


CASES: dict[str, Callable[[Split], list[Split]]] = {
    "as it is": lambda split: [split],
    f"class sizes cut by 1 to {LARGEST_TO_SMALLEST}": lambda split: [long_tail(split)],
    f"30 target images, {DRAWS} times": lambda split: [
        thirty(split, draw) for draw in range(DRAWS)
    ],
    "no unknown image": lambda split: [only(split, True)],
    "unknown images alone": lambda split: [only(split, False)],
    "one source image per class": lambda split: [shots(split, 1)],
    "two source images per class": lambda split: [shots(split, 2)],
    "one domain": lambda split: [one_domain(split)],
    "source labels at random": lambda split: [shuffled(split)],
}


def main() -> None:
    """Measure and print."""
    parser = parser_of_splits(__doc__)
    parser.add_argument("--settings", type=json.loads, default={}, help="of `sre_clip`, as JSON")
    arguments = parser.parse_args()
    ways = [("zero_shot", {}), ("sre_clip", arguments.settings)]
    try:
        MethodsSettings().changed(*ways[1])
    except (ValueError, TypeError) as error:
        parser.error(f"--settings: {error}")
    print(f"Known / unknown / H, zero-shot and `sre_clip`; commit {commit()}.\n")
    print("| set | cut | zero-shot | `sre_clip` |\n|" + " --- |" * 4)
    for file in arguments.files:
        splits = some_splits(parser, file, arguments.splits)
        for case, cut in CASES.items():
            pieces = [piece for split in splits for piece in cut(split)]
            cells = [
                " / ".join(
                    f"{value:.1f}" if value else "-"
                    for value in np.mean([values(piece, *way) for piece in pieces], axis=0)
                )
                for way in ways
            ]
            print(f"| {file} | {case} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
