"""Differences from zero-shot and from the best baseline, for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sreclip.evaluate.reference import REFERENCE
from sreclip.evaluate.significance import Comparison
from sreclip.evaluate.statistics import DIFFERENCE_METRICS
from sreclip.plan.plan import Plan
from sreclip.report.inputs import MethodResult
from sreclip.report.numbers import format_difference, format_p

ARROWS = {"better": "↑", "worse": "↓", "": ""}


@dataclass(frozen=True)
class DifferenceCell:
    """One difference, in percentage points.

    Attributes
    ----------
    text, interval, p : str
        The interval is empty where every resample gives the same difference.
    mark : str
        ``better``, ``worse`` or nothing.
    detail : str
        What pointing at the number says.
    """

    text: str
    interval: str
    p: str
    mark: str
    detail: str

    @property
    def arrow(self) -> str:
        """The mark as a character."""
        return ARROWS[self.mark]


@dataclass(frozen=True)
class DifferenceTable:
    """All methods against one reference; ``rows`` hold a title and a cell a metric."""

    heading: str
    metrics: Sequence[str]
    rows: Sequence[tuple[str, Sequence[DifferenceCell]]]


@dataclass(frozen=True)
class DifferenceView:
    """The section: its tables and what they mean, or the sentence that stands in their place."""

    tables: Sequence[DifferenceTable] = ()
    notes: Sequence[str] = ()
    missing: str = ""


def difference_view(
    plan: Plan, results: Sequence[MethodResult], rows: Sequence[Comparison]
) -> DifferenceView:
    """Make the section from the rows of ``significance.csv``."""
    settings = plan.params.evaluate
    if not settings.bootstrap:
        return DifferenceView(
            missing="The bootstrap is switched off (evaluate.bootstrap is 0): whether the methods' "
            "differences could be luck is not said here."
        )
    if settings.protocol == REFERENCE:
        return DifferenceView(
            missing="Evaluated the authors' way (evaluate.protocol is reference), each number may "
            "be of another checkpoint that was chosen on these very labels: whether differences "
            "between such numbers could be luck is not tested."
        )
    if not rows:
        return DifferenceView(missing="This run has no pair of a method and a baseline to compare.")
    titles = {result.name: result.title for result in results}
    references = dict.fromkeys((row.reference, row.reference_kind) for row in rows)
    tables = []
    for reference, kind in references:
        these = [row for row in rows if (row.reference, row.reference_kind) == (reference, kind)]
        tables.append(_table(titles, these, kind, settings.confidence))
    kinds = {kind for _, kind in references}
    return DifferenceView(
        tables,
        _notes(
            settings.bootstrap,
            settings.confidence,
            several_seeds=max(len(result.seeds) for result in results) > 1,
            has_best="best_baseline" in kinds,
            oracle=any(result.selection == "oracle" for result in results),
        ),
    )


def _table(
    titles: Mapping[str, str], rows: Sequence[Comparison], kind: str, confidence: float
) -> DifferenceTable:
    title = titles[rows[0].reference]
    cells = {(row.method, row.metric): _cell(row, confidence) for row in rows}
    metrics = [name for name in DIFFERENCE_METRICS if any(row.metric == name for row in rows)]
    return DifferenceTable(
        f"Against {title}" + (", the best baseline" if kind == "best_baseline" else ""),
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
        detail = "the same on every resample, so that no interval can be given"
    return DifferenceCell(text, interval or "", format_p(row.p_holm), row.mark(confidence), detail)


def _notes(
    n: int, confidence: float, *, several_seeds: bool, has_best: bool, oracle: bool
) -> list[str]:
    level, alpha = f"{100 * confidence:g} %", plain_level(confidence)
    notes = [
        f"Percentage points: a method's mean over seeds minus the reference's, with the {level} "
        f"percentile interval of a paired bootstrap: {n:,} resamples of the labelled target "
        "pictures within each class, the same ones for both methods",
        "p is two-sided and adjusted for the number of methods in its column by Holm's method; "
        f"↑ and ↓ mark an adjusted p below {alpha}. No unadjusted p can be below "
        f"{2 / (n + 1):.1g} with this many resamples. Intervals are not adjusted: one may leave "
        "zero out where the adjusted p is above the level",
        "It answers whether other pictures of the same classes could have turned the difference "
        "round. It does not cover other training seeds"
        + (" (the Student-t intervals above do)" if several_seeds else "")
        + ", other classes, another choice of unknown classes or another data set; with few "
        "pictures a class intervals are too narrow",
        "Known, unknown and H are three looks at the same predictions and are not adjusted for "
        "each other",
    ]
    if has_best:
        notes.append(
            "The best baseline is the one with the highest H on these very labels, other than "
            "Zero-shot: that choice favours it"
        )
    if oracle:
        notes.append(
            "Settings were chosen with these very labels, which the bootstrap does not know: "
            "intervals and p are more favourable than they should be"
        )
    return notes


def plain_level(confidence: float) -> str:
    """What an adjusted p must be below."""
    return f"{round(1 - confidence, 10):g}"


def marks(rows: Sequence[Comparison], confidence: float, metric: str = "h") -> dict[str, str]:
    """Arrow beside a metric by method, against zero-shot; nothing where it is not clear."""
    return {
        row.method: ARROWS[row.mark(confidence)]
        for row in rows
        if row.reference_kind == "zero_shot" and row.metric == metric
    }
