"""What is said where target labels are missing, or too few to rely on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sreclip.errors import counted, some
from sreclip.evaluate.stored import Evaluation
from sreclip.findings.estimate import wilson

# With fewer labelled images of known (or unknown) classes one image is worth over three percent.
FEW_OF_KIND = 30
FEW_OF_CLASS = 5
# Metrics that rest on the labelled images of each kind.
RESTS_ON = {"known": ("known",), "unknown": ("unknown",), "zsl": ("unknown",)}
BOTH = ("known", "unknown")

NO_LABELS = "no target image has a label of a class, so nothing can be evaluated"
GIVE_LABELS = (
    "to learn how right this is, label twenty images (sreclip label) and run again, or move some "
    "into class folders (target/CLASS/*.jpg); for accuracies of known and of unknown classes "
    f"label at least {FEW_OF_CLASS} per class and {FEW_OF_KIND} of each kind"
)


class Judged(NamedTuple):
    """How many of ``n`` labelled images a method has right, mean over seeds, and the interval.

    Images that show none of the classes are never right.
    """

    title: str
    right: float
    n: int
    low: float
    high: float


def has_unlabelled(evaluation: Evaluation) -> bool:
    """Tell whether more than a tenth of the target images are without a label."""
    n_labelled = evaluation.n_images + evaluation.n_none
    return 9 * evaluation.n_unlabelled > n_labelled


def judged_rows(results: Sequence[Evaluation], level: float) -> list[Judged]:
    """Count what each method has right, with `wilson`; empty without a label."""
    rows = []
    for result in results:
        n = result.n_images + result.n_none
        if n:
            right = float(np.trace(result.confusion_table)) / len(result.seeds)
            rows.append(Judged(result.title, right, n, *wilson(right, n, level)))
    return rows


def judged_notes(results: Sequence[Evaluation], level: float) -> list[str]:
    """Return `judged_rows` as a sentence, where many target images have no label."""
    rows = judged_rows(results, level) if results and has_unlabelled(results[-1]) else []
    if not rows:
        return []
    shown = (
        f"{row.title} {row.right:.1f}".removesuffix(".0")
        + f" ({100 * row.low:.0f} to {100 * row.high:.0f} %)"
        for row in rows
    )
    labelled = counted(rows[0].n, "labelled image")
    return [
        f"right of {labelled}, with the {100 * level:g} % interval for all images: "
        + ", ".join(shown)
    ]


def label_counts(evaluation: Evaluation) -> list[int]:
    """Return the number of labelled target images of each class."""
    counts = evaluation.confusion_table.sum(axis=1) // len(evaluation.seeds)
    return [int(count) for count in counts]


def is_headline(metric: str, evaluation: Evaluation) -> bool:
    """Tell whether a metric rests on enough labelled images of each kind to stand alone."""
    few = few_of_kind(evaluation.known, label_counts(evaluation))
    return not few & set(RESTS_ON.get(metric, BOTH))


def few_of_kind(known: Sequence[bool] | np.ndarray, counts: Sequence[int]) -> set[str]:
    """Return the kinds of classes that have labelled images, but fewer than `FEW_OF_KIND`."""
    sums = {"known": 0, "unknown": 0}
    for is_known, count in zip(known, counts, strict=True):
        sums["known" if is_known else "unknown"] += count
    return {kind for kind, n in sums.items() if 0 < n < FEW_OF_KIND}


def label_warnings(
    classes: Sequence[str], known: Sequence[bool] | np.ndarray, counts: Sequence[int]
) -> list[str]:
    """Return sentences, without full stop, on kinds and classes of few labelled target images.

    ``counts`` are the labelled target images of each class. Where there is no labelled image, there
    is no number to warn of.
    """
    warnings = []
    few = few_of_kind(known, counts)
    for kind in BOTH:
        if kind in few:
            own = [
                n
                for n, is_known in zip(counts, known, strict=True)
                if is_known == (kind == "known")
            ]
            n = sum(own)
            what = "labelled target image is" if n == 1 else "labelled target images are"
            warnings.append(
                f"{n} {what} of {kind} classes, fewer than {FEW_OF_KIND}: one image more or less "
                f"that is right moves their accuracy by {100 / n:.0f} percentage points"
            )
    scarce = [name for name, n in zip(classes, counts, strict=True) if 0 < n < FEW_OF_CLASS]
    if scarce:
        have = "1 class has" if len(scarce) == 1 else f"{len(scarce)} classes have"
        warnings.append(
            f"{have} fewer than {FEW_OF_CLASS} labelled target images: {some(scarce)}; a class "
            "counts as much as any other in a mean over classes"
        )
    return warnings


def warnings_of(evaluation: Evaluation) -> list[str]:
    """Return `label_warnings` of the images that an evaluation rests on."""
    return label_warnings(evaluation.classes, evaluation.known, label_counts(evaluation))
