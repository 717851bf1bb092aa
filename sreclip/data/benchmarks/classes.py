"""Class tables of the benchmarks."""

from __future__ import annotations

import csv
from functools import cache
from typing import NamedTuple

from sreclip.data.benchmarks import RESOURCES
from sreclip.data.manifest import ClassEntry


class BenchmarkClass(NamedTuple):
    """One class: its folders' name, whether it is known in the published split and in the mini set.

    ``source`` and ``target`` are its published numbers of images, None if only totals are.
    """

    entry: ClassEntry
    folder: str
    known: bool
    source: int | None
    target: int | None
    mini: bool


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
        ClassEntry(row["name"], (prompt_name,), row.get("wnid") or None),
        row["folder"],
        row["known"] == "yes",
        source,
        target,
        row.get("mini", "yes") == "yes",
    )
