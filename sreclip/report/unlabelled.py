"""What is shown of predictions where no target image has a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sreclip.evaluate.stored import Evaluation
from sreclip.findings.estimate import Sizes
from sreclip.report.labels import GIVE_LABELS, NO_LABELS, judged_notes
from sreclip.report.numbers import percent_text, plain
from sreclip.report.table import terminal_table

if TYPE_CHECKING:
    from rich.table import Table

# Classes of the page's table, those with the most images.
MOST_CLASSES = 200
MEANINGS = {
    "Called known": "fraction of the readable images that are given a known class",
    "Called unknown": "fraction of the readable images that are given an unknown class",
    "Confidence": "mean of the largest softmax probability",
    "Agreement": "fraction of the images that are given one class with every seed",
}


@dataclass(frozen=True)
class PredictedClass:
    """A class, and the number of images that each method gives it, mean over seeds.

    ``expected`` is how many there are by the last method's probabilities, with an interval.
    """

    name: str
    known: bool
    counts: Sequence[str]
    expected: str


@dataclass(frozen=True)
class PredictionsView:
    """Shares of each method by `MEANINGS`, in percent, and counts of the classes."""

    shares: Sequence[Sequence[str]]
    classes: Sequence[PredictedClass]
    n_left_out: int


def predictions_view(results: Sequence[Evaluation], sizes: Sizes) -> PredictionsView:
    """Return the tables of the page; classes in the order of the last method's counts."""
    last = results[-1]
    counts = [result.predicted["counts"] for result in results]
    order = sorted(range(len(last.classes)), key=lambda label: -counts[-1][label])
    return PredictionsView(
        [shares_of(result) for result in results],
        [
            PredictedClass(
                last.classes[label],
                bool(last.known[label]),
                [plain(own[label], 1).removesuffix(".0") for own in counts],
                " ".join(
                    [
                        f"{sizes.expected[label]:.0f}",
                        f"({sizes.low[label]:.0f} to {sizes.high[label]:.0f})",
                    ]
                ),
            )
            for label in order[:MOST_CLASSES]
        ],
        len(order) - len(order[:MOST_CLASSES]),
    )


def shares_of(result: Evaluation, sign: str = " ± ") -> list[str]:
    """Return the shares of a method in the order of `MEANINGS`; a dash where there is none."""
    found, none = result.predicted, "\N{EN DASH}"
    unknown, confidence, agreement = (
        found[name] for name in ("unknown", "confidence", "agreement")
    )
    if unknown is None:
        return [none] * len(MEANINGS)
    known = unknown | {"mean": 1 - unknown["mean"]}
    if "low" in unknown:
        known |= {"low": 1 - unknown["high"], "high": 1 - unknown["low"]}
    return [
        percent_text(known, sign),
        percent_text(unknown, sign),
        percent_text(confidence, sign),
        none if agreement is None else plain(100 * agreement, 1),
    ]


def unlabelled_table(title: str, results: Sequence[Evaluation], level: float) -> Table:
    """Return the table for the terminal, with what to do to get accuracies."""
    rows = [[result.title, *shares_of(result, "±")] for result in results]
    notes = [
        *judged_notes(results, level),
        NO_LABELS,
        GIVE_LABELS,
        "percent of the target images; " + "; ".join(f"{x}: {y}" for x, y in MEANINGS.items()),
    ]
    return terminal_table(title, ["Method", *MEANINGS], rows, notes, padding=1)
