"""Published numbers whose source was read, to stand beside what is measured on the same task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.data.benchmarks.classes import read_benchmark_classes
from sreclip.files import read_csv

LITERATURE = "literature.csv"


@dataclass(frozen=True)
class PublishedNumber:
    """A row of `LITERATURE`.

    Attributes
    ----------
    method, metric : str
        As they are called here.
    value : float
        A share.
    citation, obtained, caveats : str
        Where it stands; what it is a number of; what to mind when it is compared.
    """

    method: str
    metric: str
    value: float
    citation: str
    obtained: str
    caveats: str

    @property
    def percent(self) -> str:
        """With the digits that were published."""
        return f"{100 * self.value:.10g}"


COLUMNS = tuple(field.name for field in fields(PublishedNumber))


@dataclass(frozen=True)
class Entry:
    """What one source says of one method on one task.

    Attributes
    ----------
    task : str
        A benchmark.
    method : str
    percent : Mapping
        By metric.
    citation, obtained, caveats : str
    """

    task: str
    method: str
    percent: Mapping[str, float]
    citation: str
    obtained: str
    caveats: str


ENTRIES = (
    Entry(
        task="i2awa",
        method="sre_clip_reference",
        percent={"known_micro": 88.02, "unknown_micro": 69.7, "h_micro": 77.7},
        citation="SRE-CLIP's authors' code, github.com/yjainqdc/SRECLIP, commit f392d02, "
        "train_clip_AwA.py, line 36",
        obtained='a comment on an ablation, "69.7 88.02 77.7", read as unknown, known, H (H of the '
        "first two would be 77.8); CLIP ViT-B/32; shares of pictures",
        caveats="each number is the best of nine tests during training on the test labels; "
        "class-sorted test batches leak label information to the attention over the batch; number "
        "of runs, seed and settings are not stated; the paper's own tables were not read",
    ),
)


def published_numbers(
    task: str, classes: Sequence[str], known: NDArray[np.bool_], methods: Sequence[str]
) -> list[PublishedNumber]:
    """Numbers published for these methods on this very problem.

    Parameters
    ----------
    task : str
        Registered task.
    classes : sequence of str
        Names in label order.
    known : ndarray
        ``(n_classes,)``, bool. With other unknown classes than the published ones there are no
        numbers.
    methods : sequence of str
    """
    return [
        PublishedNumber(
            entry.method,
            metric,
            round(percent / 100, 10),
            entry.citation,
            entry.obtained,
            entry.caveats,
        )
        for entry in ENTRIES
        if entry.task == task and entry.method in methods and _as_published(task, classes, known)
        for metric, percent in entry.percent.items()
    ]


def literature_notes(numbers: Sequence[PublishedNumber], *, reference: bool) -> list[str]:
    """Say where the numbers stand and what they are, once a source, and what stands beside them.

    Parameters
    ----------
    numbers : sequence of PublishedNumber
    reference : bool
        What was measured here was evaluated as the protocol ``reference`` does.
    """
    sources = dict.fromkeys((n.citation, n.obtained, n.caveats) for n in numbers)
    if not sources:
        return []
    return [
        *(f"published: {citation}: {obtained}" for citation, obtained, _ in sources),
        *(f"caveats of the published: {caveats}" for *_, caveats in sources),
        "measured here: evaluated the same way"
        if reference
        else "measured here: the last step, mixed batches (evaluate.protocol: ours; reference "
        "evaluates the authors' way)",
    ]


def _as_published(task: str, classes: Sequence[str], known: NDArray[np.bool_]) -> bool:
    published = read_benchmark_classes(task)
    return [(item.entry.name, item.known) for item in published] == list(
        zip(classes, known.tolist(), strict=True)
    )


def read_literature(path: Path) -> list[PublishedNumber]:
    """Read the table that ``compare`` writes.

    Raises
    ------
    StoreError
        It is missing or damaged.
    """
    return read_csv(path, _from_text, what="published numbers", made_by="sreclip compare")


def _from_text(rows: Iterable[Mapping[str, Any]]) -> list[PublishedNumber]:
    return [PublishedNumber(**{**row, "value": float(row["value"])}) for row in rows]
