"""What is found without target labels, as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sreclip.data.manifest import find_rows
from sreclip.data.place import image_names
from sreclip.evaluate.stored import Evaluation
from sreclip.features.viewing import has_images
from sreclip.findings.findings import Findings
from sreclip.findings.source_labels import LEAST_ACCURACY
from sreclip.plan.plan import Plan
from sreclip.report.numbers import plain
from sreclip.report.thumbnails import Thumbnail, thumbnails

if TYPE_CHECKING:
    import pandas as pd

THUMBNAIL_PIXELS = 160
# Pairs, outliers and suspects that are shown; more are in the table.
SHOWN = 12
# Classes with examples, those with the most images; surest and least sure images of each.
SHOWN_CLASSES = 20
OF_EACH = 3


class Seen(NamedTuple):
    """An image, None where it cannot be read, and what is said of it: terms and words."""

    path: str
    image: Thumbnail | None
    said: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Examples:
    """The surest and the least sure of the images that are given a class."""

    name: str
    known: bool
    n: int
    surest: Sequence[Seen]
    unsure: Sequence[Seen]


@dataclass(frozen=True)
class FindingsView:
    """Sentences, numbers and images of the page; ``pairs`` are of the target and the source."""

    accuracy: str
    agreement: Sequence[Sequence[str]]
    examples: Sequence[Examples]
    n_classes_left_out: int
    first: Sequence[Seen]
    pairs: Sequence[tuple[Seen, Seen]]
    outliers: Sequence[Seen]
    suspects: Sequence[Seen]
    suspects_note: str
    problem: str


def findings_view(plan: Plan, findings: Findings, last: Evaluation) -> FindingsView:
    """Return what the page shows of the last method's predictions and of the data."""
    checks, rows = findings.checks, findings.rows.set_index("row_id")
    pairs, outliers = checks.neighbours.pairs[:SHOWN], checks.neighbours.outliers[:SHOWN]
    suspects = checks.labels.suspects[:SHOWN]
    chosen = _examples(findings.rows, len(last.classes))
    gallery = _Gallery(
        plan,
        [
            *findings.first,
            *(row for _, _, *parts in chosen for part in parts for row in part),
            *(row for pair in pairs for row in (pair.target, pair.source)),
            *(outlier.target for outlier in outliers),
            *(suspect.source for suspect in suspects),
        ],
    )

    def sure(row: int) -> tuple[str, str]:
        return "confidence", _percent(rows["confidence"][row])

    def predicted(row: int) -> Seen:
        return gallery.seen(row, ("predicted", last.classes[rows["predicted"][row]]), sure(row))

    return FindingsView(
        accuracy=_accuracy(findings, last, plan.params.evaluate.confidence),
        agreement=[[plain(100 * share, 1) for share in row] for row in findings.agreement.tolist()],
        examples=[
            Examples(
                last.classes[label],
                bool(last.known[label]),
                n,
                *([gallery.seen(row, sure(row)) for row in part] for part in parts),
            )
            for label, n, *parts in chosen
        ],
        n_classes_left_out=int(np.unique(rows["predicted"]).size) - len(chosen),
        first=[predicted(row) for row in findings.first],
        pairs=[
            (
                gallery.seen(pair.target),
                gallery.seen(pair.source, ("cosine", f"{pair.cosine:.3f}")),
            )
            for pair in pairs
        ],
        outliers=[predicted(outlier.target) for outlier in outliers],
        suspects=[
            gallery.seen(
                suspect.source,
                ("label", last.classes[suspect.label]),
                ("looks like", last.classes[suspect.looks_like]),
                ("probability", _percent(suspect.probability)),
            )
            for suspect in suspects
        ],
        suspects_note=_suspects_note(findings),
        problem=checks.problem,
    )


class _Gallery:
    """Small images by row id, each read once."""

    def __init__(self, plan: Plan, row_ids: Sequence[int]) -> None:
        distinct = sorted(set(row_ids))
        names = image_names(find_rows(plan.task.path, distinct)).tolist()
        images: Sequence[Thumbnail | None] = [None] * len(distinct)
        if has_images(plan):
            images = list(thumbnails(plan, distinct, THUMBNAIL_PIXELS))
        self._images = dict(zip(distinct, zip(names, images, strict=True), strict=True))

    def seen(self, row: int, *said: tuple[str, str]) -> Seen:
        return Seen(*self._images[row], said)


def _examples(rows: pd.DataFrame, n_classes: int) -> list[tuple[int, int, list[int], list[int]]]:
    """Return class, number of images, and row ids of the surest and of the least sure of them."""
    counts = np.bincount(rows["predicted"], minlength=n_classes)
    found = []
    for label in np.argsort(-counts, kind="stable")[:SHOWN_CLASSES].tolist():
        if counts[label]:
            own = rows[rows["predicted"] == label].sort_values("confidence", ascending=False)
            n_unsure = min(OF_EACH, len(own) // 2)
            surest = own["row_id"].head(min(OF_EACH, len(own) - n_unsure)).tolist()
            unsure = own["row_id"].tail(n_unsure).tolist()[::-1]
            found.append((label, len(own), surest, unsure))
    return found


def _accuracy(findings: Findings, last: Evaluation, level: float) -> str:
    found = findings.accuracy
    if found is None:
        return "No target image could be read."
    return (
        f"If the probabilities of {last.title} are right on average, "
        f"{_percent(found.value)} of the images are: {_percent(found.low)} to "
        f"{_percent(found.high)} with a probability of {100 * level:g} %"
    )


def _suspects_note(findings: Findings) -> str:
    labels = findings.checks.labels
    if labels.accuracy is None:
        return "fewer than two classes have two source images"
    told = f"of {labels.n_images:,} source images {_percent(labels.accuracy)} are told right"
    if labels.accuracy < LEAST_ACCURACY:
        return f"{told}, too few to doubt any label"
    return told


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"
