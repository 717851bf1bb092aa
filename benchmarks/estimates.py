"""How well accuracy and class sizes are estimated without labels.

    snakemake --cores all extract_features graph --configfile config/clip-caltech101.yaml
    python benchmarks/estimates.py config/clip-caltech101.yaml config/pacs-pairs.yaml --splits 4

with one file per set, features extracted; ``FILE:reversed`` as in `splits.py`. One seed per
split. Prints, as means over splits, the accuracy (fraction of images, percent), the estimate by the
mean confidence, how often its 95 % interval holds the accuracy, and the fraction of class sizes
that their 95 % intervals hold; with independent mistakes (no correlation) beside. Run it where the
features are.
"""

from __future__ import annotations

import numpy as np
from measuring import commit
from splits import Split, parser_of_splits, some_splits

from sreclip.config.methods import MethodsSettings
from sreclip.findings import estimate
from sreclip.train.fits import fit, make_method, score_target

METHODS = ("zero_shot", "sre_clip", "transclip")
CORRELATIONS = (estimate.WITHIN_CLASS, estimate.ANY_TWO)


def measures(split: Split, name: str) -> list[float]:
    """Return accuracy, estimate, and fractions held: accuracy, class sizes, without correlation."""
    method = fit(make_method(name, MethodsSettings().settings(name), 0), split.inputs)
    scores = score_target(method, split.inputs.target_features)
    n_classes = len(split.known)
    predicted = scores.top_class[:, 0].astype(np.int64)
    accuracy = float((predicted == split.labels).mean())
    counts = np.bincount(split.labels, minlength=n_classes)
    p = np.exp(scores.top_logit - scores.log_sum[:, None])
    held = []
    for estimate.WITHIN_CLASS, estimate.ANY_TWO in (CORRELATIONS, (0.0, 0.0)):
        found = estimate.estimated_accuracy(predicted, scores.confidence, n_classes)
        assert found is not None
        sizes = estimate.class_sizes(scores.top_class.astype(np.int64), p, n_classes)
        held += [
            float(found.low <= accuracy <= found.high),
            float(((sizes.low <= counts) & (counts <= sizes.high)).mean()),
        ]
    return [100 * value for value in (accuracy, found.value, *held)]


def main() -> None:
    """Measure and print."""
    parser = parser_of_splits(__doc__)
    arguments = parser.parse_args()
    print(f"In percent; commit {commit()}.\n")
    print(
        "| set | method | right | estimated | interval holds it | class sizes held "
        "| the same, independent |\n|" + " --- |" * 7
    )
    for file in arguments.files:
        splits = some_splits(parser, file, arguments.splits)
        for name in METHODS:
            rows = [measures(split, name) for split in splits]
            right, estimated, holds, sizes, alone, sizes_alone = np.mean(rows, axis=0)
            print(
                f"| {file} | `{name}` | {right:.1f} | {estimated:.1f} | {holds:.0f} | {sizes:.0f} "
                f"| {alone:.0f}, {sizes_alone:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
