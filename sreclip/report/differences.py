"""Differences from zero-shot and from the best baseline, for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sreclip.evaluate.significance import BEST_BASELINE, Comparison
from sreclip.evaluate.stored import ZERO_SHOT, Evaluation
from sreclip.report.numbers import format_difference, format_p

ARROWS = {"better": "↑", "worse": "↓", "": ""}


@dataclass(frozen=True)
class DifferenceCell:
    """One difference, in percentage points."""

    text: str
    interval: str  # empty if every resample gives the same difference
    p: str
    mark: str  # ``better``, ``worse`` or empty
    detail: str  # shown when the reader points at the number

    @property
    def arrow(self) -> str:
        """The mark as a character."""
        return ARROWS[self.mark]


@dataclass(frozen=True)
class DifferenceTable:
    """All methods against one reference; ``rows`` hold a title and one cell per metric."""

    heading: str
    metrics: Sequence[str]
    rows: Sequence[tuple[str, Sequence[DifferenceCell]]]


@dataclass(frozen=True)
class DifferenceView:
    """The section: its tables and what they mean, or why there are none."""

    tables: Sequence[DifferenceTable] = ()
    notes: Sequence[str] = ()
    missing: str = ""


def difference_view(
    results: Sequence[Evaluation], rows: Sequence[Comparison], resamples: int, confidence: float
) -> DifferenceView:
    """Make the section from the rows of ``significance.csv``."""
    if not resamples:
        return DifferenceView(
            missing="The bootstrap is off (evaluate.bootstrap is 0), so it is not tested whether "
            "the differences between methods could be luck."
        )
    if results[0].warning:
        return DifferenceView(
            missing="Evaluated the authors' way (evaluate.protocol is reference), each number may "
            "be of another checkpoint, chosen with these very labels: whether differences between "
            "such numbers could be luck is not tested."
        )
    if not rows:
        return DifferenceView(missing="This run has no pair of a method and a baseline to compare.")
    titles = {result.method: result.title for result in results}
    tables: dict[str, list[Comparison]] = {}
    for row in rows:
        tables.setdefault(row.reference, []).append(row)
    return DifferenceView(
        [_table(titles, these, confidence) for these in tables.values()],
        _notes(results, rows, resamples, confidence),
    )


def _table(
    titles: Mapping[str, str], rows: Sequence[Comparison], confidence: float
) -> DifferenceTable:
    best = ", the best baseline" if rows[0].reference_kind == BEST_BASELINE else ""
    cells = {(row.method, row.metric): _cell(row, confidence) for row in rows}
    metrics = list(dict.fromkeys(row.metric for row in rows))
    return DifferenceTable(
        f"Against {titles[rows[0].reference]}{best}",
        metrics,
        [
            (titles[method], [cells[method, metric] for metric in metrics])
            for method in dict.fromkeys(row.method for row in rows)
        ],
    )


def _cell(row: Comparison, confidence: float) -> DifferenceCell:
    low, high = (None if end is None else 100 * end for end in (row.low, row.high))
    text, interval = format_difference(100 * row.difference, low, high)
    detail = f"p {format_p(row.p)} alone, {format_p(row.p_holm)} adjusted"
    if interval is None:
        detail = "the same on every resample, so there is no interval"
    return DifferenceCell(text, interval or "", format_p(row.p_holm), row.mark(confidence), detail)


def _notes(
    results: Sequence[Evaluation], rows: Sequence[Comparison], n: int, confidence: float
) -> list[str]:
    level, alpha = f"{100 * confidence:g} %", plain_level(confidence)
    several_seeds = any(len(result.seeds) > 1 for result in results)
    notes = [
        f"Percentage points: a method's mean over seeds minus the reference's, with the {level} "
        f"percentile interval of a bootstrap: {n:,} resamples of the labelled target images within "
        "each class, the same for both methods. With few images per class it is too narrow",
        "p is two-sided, of a permutation test: the answers of both methods are exchanged on each "
        f"image with probability 1/2, {n:,} times. It holds with few images, too, so an interval "
        "may exclude zero although p is large. It is adjusted for the number of methods in its "
        f"column by Holm's method; ↑ and ↓ mark an adjusted p below {alpha}. No p alone can be "
        f"below {1 / (n + 1):.1g}",
        "The test answers whether the luck of these images could have made the difference. It does "
        "not cover other training seeds"
        + (" (the Student-t intervals above do)" if several_seeds else "")
        + ", other classes, another choice of unknown classes or another data set",
        "Known, unknown and H describe the same predictions and are not adjusted for each other",
    ]
    if any(row.reference_kind == BEST_BASELINE for row in rows):
        notes.append(
            "The best baseline is the one with the highest H on these very labels, other than "
            "Zero-shot: that choice favours it"
        )
    if results[0].selection == "oracle":
        notes.append(
            "Settings were chosen with these very labels, which the tests ignore: intervals "
            "and p are more favourable than they should be"
        )
    return notes


def plain_level(confidence: float) -> str:
    """Return the level that an adjusted p must be below."""
    return f"{round(1 - confidence, 10):g}"


def marks(rows: Sequence[Comparison], confidence: float) -> dict[str, str]:
    """Return the arrow beside H by method, against zero-shot; empty if it is not clear."""
    return {
        row.method: ARROWS[row.mark(confidence)]
        for row in rows
        if row.reference_kind == ZERO_SHOT and row.metric == "h"
    }
