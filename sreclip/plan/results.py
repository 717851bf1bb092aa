"""A result: where it is, what its key says, and which results it is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Tables of a comparison that are published; the last of its files is for the page alone.
TABLES = (
    "results.csv",
    "significance.csv",
    "curves.csv",
    "per_class.csv",
    "confusion.csv",
    "training.csv",
    "literature.csv",
)
HISTORY = "history.csv"
COMPARISON_FILES = ("metrics.json", "means.json", *TABLES, HISTORY)
# Tables of the page that are published: images that extraction rejected, what is found without
# target labels, and all predictions.
REJECTS = "rejects.csv"
FINDINGS = "findings.csv"
PREDICTIONS = ("predictions.csv", "predictions.parquet")
PAGE_FILES = ("index.html", REJECTS, FINDINGS, *PREDICTIONS)


@dataclass(frozen=True)
class Result:
    """One node of the graph of results."""

    stage: str  # what kind of result it is, for a reader: "fit", "evaluation"
    # Folder, or file where `files` is empty. The key is part of it.
    path: Path
    key: str
    # What it is made from; empty for a task, which is made from images.
    inputs: tuple[Result, ...] = ()
    # Files in the folder, all of which the job writes.
    files: tuple[str, ...] = ()
    # What else a reader wants to know, JSON-able.
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outputs(self) -> list[Path]:
        """The files that are there when the result is."""
        return [self.path / name for name in self.files] or [self.path]

    def __getitem__(self, name: str) -> Path:
        """Return the path of one of the files."""
        if name not in self.files:
            raise KeyError(f"{self.stage} has no file {name!r}")
        return self.path / name


def outputs_of(results: Iterable[Result]) -> list[Path]:
    """Return the files of some results."""
    return [path for result in results for path in result.outputs]
