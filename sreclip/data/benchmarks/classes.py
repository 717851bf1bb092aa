"""Class tables of the benchmarks: CSV files that ship with the package."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sreclip.data.manifest import ClassEntry

RESOURCES = Path(__file__).parent / "resources"


class BenchmarkClass(NamedTuple):
    """One class of a benchmark.

    Attributes
    ----------
    entry : ClassEntry
        Name, prompt name and WordNet id.
    folder : str
        Name of this class's folders, unless a domain has its own.
    known : bool
        Known in the published split.
    source, target : int or None
        Published number of images per domain, if it is published per class.
    part : bool
        Belongs to the smaller version of the set, if there is one.
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

    Columns: ``name``, ``folder``, ``known`` and optionally ``prompt_name`` (by default the name),
    ``wnid``, ``source``, ``target`` (numbers of images), ``mini``.
    """
    with (RESOURCES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(_class(row) for row in csv.DictReader(file))


def _class(row: dict[str, str]) -> BenchmarkClass:
    prompt_name = row.get("prompt_name") or row["name"]
    source, target = (int(row[key]) if row.get(key) else None for key in ("source", "target"))
    return BenchmarkClass(
        entry=ClassEntry(row["name"], (prompt_name,), row.get("wnid") or None),
        folder=row["folder"],
        known=row["known"] == "yes",
        source=source,
        target=target,
        part=row.get("mini", "yes") == "yes",
    )
