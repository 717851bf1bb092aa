"""Published numbers, to compare with what is measured on the same problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sreclip.data.benchmarks.classes import read_benchmark_classes
from sreclip.files import read_csv

LITERATURE = "literature.csv"


@dataclass(frozen=True)
class PublishedNumber:
    """One row of ``literature.csv``.

    Attributes
    ----------
    task, method, metric : str
        Their names here.
    percent : str
        With the published digits.
    citation, obtained, caveats : str
        Where it was published; what it measures; what limits a comparison.
    """

    task: str
    method: str
    metric: str
    percent: str
    citation: str
    obtained: str
    caveats: str


COLUMNS = tuple(field.name for field in fields(PublishedNumber))


def published_numbers(
    task: str, classes: Sequence[str], known: NDArray[np.bool_], methods: Sequence[str]
) -> list[PublishedNumber]:
    """Return the numbers published for some methods, if classes and unknown classes are the same.

    Parameters
    ----------
    task : str
    classes : sequence of str
        Names in label order.
    known : ndarray
        ``(n_classes,)``, bool.
    methods : sequence of str
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

    Raises
    ------
    StoreError
        The table is missing or damaged.
    """
    return read_csv(path, _from_text, what="published numbers", made_by="sreclip compare")


def _from_text(rows: Iterable[Mapping[str, str]]) -> list[PublishedNumber]:
    return [PublishedNumber(**row) for row in rows]


def literature_notes(numbers: Sequence[PublishedNumber], *, reference: bool) -> list[str]:
    """Return what the numbers are, one line per source, and how those measured here were made.

    Parameters
    ----------
    numbers : sequence of PublishedNumber
    reference : bool
        The numbers measured here are of the protocol ``reference``.
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
