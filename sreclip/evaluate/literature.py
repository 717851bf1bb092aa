"""Published numbers, to compare with what is measured on the same problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sreclip.data.benchmarks.classes import read_benchmark_classes
from sreclip.files import read_csv

LITERATURE = "literature.csv"


@dataclass(frozen=True)
class PublishedNumber:
    """One row of ``literature.csv``."""

    task: str
    method: str
    metric: str
    percent: str  # with the published digits
    citation: str
    obtained: str  # what it measures
    caveats: str  # what limits a comparison


COLUMNS = tuple(field.name for field in fields(PublishedNumber))


def published_numbers(
    task: str, classes: Sequence[str], known: NDArray[np.bool_], methods: Sequence[str]
) -> list[PublishedNumber]:
    """Return the numbers published for some methods, if classes and unknown classes are the same.

    ``classes`` are names in label order, ``known`` is ``(n_classes,)``.
    """
    found = [
        number
        for number in read_literature(Path(__file__).with_name(LITERATURE))
        if number.task == task and number.method in methods
    ]
    if not found:
        return []
    published = [(item.entry.name, item.known) for item in read_benchmark_classes(task)]
    return found if published == list(zip(classes, known.tolist(), strict=True)) else []


def read_literature(path: Path) -> list[PublishedNumber]:
    """Read published numbers, those of this package or those that ``sreclip compare`` wrote.

    Raises `StoreError` if the table is missing or damaged.
    """
    return read_csv(
        path,
        lambda rows: [PublishedNumber(**row) for row in rows],
        what="published numbers",
        made_by="sreclip compare",
    )


def literature_notes(numbers: Sequence[PublishedNumber], *, reference: bool) -> list[str]:
    """Return what the numbers are, one line per source, and how those measured here were made.

    ``reference`` says that those are of the protocol ``reference``.
    """
    sources = dict.fromkeys((n.citation, n.obtained, n.caveats) for n in numbers)
    if not sources:
        return []
    return [
        *(f"published: {citation}: {obtained}" for citation, obtained, _ in sources),
        *(f"caveats of the published numbers: {caveats}" for *_, caveats in sources),
        "measured here: evaluated the same way"
        if reference
        else "measured here: the last step, mixed batches (evaluate.protocol: ours; reference "
        "evaluates the authors' way)",
    ]
