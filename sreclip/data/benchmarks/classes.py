"""Class tables of the benchmarks: CSV files that ship with the package."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sreclip.data.manifest import ClassEntry

RESOURCES = Path(__file__).parent / "resources"


@dataclass(frozen=True)
class BenchmarkClass:
    """One class of a benchmark.

    Attributes
    ----------
    entry : ClassEntry
        Name, prompt name and WordNet id.
    folder : str
        How folders of this class are named; a domain may name them in a way of its own.
    known : bool
        Known in the published split.
    source, target : int or None
        Published number of pictures of each domain, where it is published by class.
    part : bool
        Belongs to the smaller version of the set, where there is one.
    """

    entry: ClassEntry
    folder: str
    known: bool
    source: int | None
    target: int | None
    part: bool


@cache
def read_benchmark_classes(name: str) -> tuple[BenchmarkClass, ...]:
    """Read ``resources/NAME.csv`` in label order.

    Columns: ``name``, ``folder``, ``known`` and, where there is something to say, ``prompt_name``
    (the name, unless told), ``wnid``, ``source``, ``target`` (numbers of pictures), ``mini``.
    """
    with (RESOURCES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(_class(row) for row in csv.DictReader(file))


def _class(row: dict[str, str]) -> BenchmarkClass:
    def count(column: str) -> int | None:
        return int(row[column]) if row.get(column) else None

    return BenchmarkClass(
        entry=ClassEntry(
            row["name"], (row.get("prompt_name") or row["name"],), row.get("wnid") or None
        ),
        folder=row["folder"],
        known=row["known"] == "yes",
        source=count("source"),
        target=count("target"),
        part=row.get("mini", "yes") == "yes",
    )
