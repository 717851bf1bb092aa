"""Published numbers stand beside the very problem that they are of, and no other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from sreclip.data.benchmarks.classes import read_benchmark_classes
from sreclip.errors import StoreError
from sreclip.evaluate.comparison import write_csv
from sreclip.evaluate.literature import (
    COLUMNS,
    literature_notes,
    published_numbers,
    read_literature,
)
from sreclip.methods import METHODS

I2AWA = read_benchmark_classes("i2awa")
CLASSES = [item.entry.name for item in I2AWA]
KNOWN = np.array([item.known for item in I2AWA])


def test_the_one_that_was_read() -> None:
    numbers = published_numbers("i2awa", CLASSES, KNOWN, list(METHODS))
    assert {(n.method, n.metric): n.percent for n in numbers} == {
        ("sre_clip_reference", "known_micro"): "88.02",
        ("sre_clip_reference", "unknown_micro"): "69.7",
        ("sre_clip_reference", "h_micro"): "77.7",
    }
    for number in numbers:
        assert "yjainqdc/SRECLIP" in number.citation
        assert "best of nine tests during training on the test labels" in number.caveats
        assert "class-sorted test batches leak" in number.caveats
    notes = literature_notes(numbers, reference=False)
    assert len(notes) == 3
    assert numbers[0].citation in notes[0]
    assert numbers[0].caveats in notes[1]


def test_nothing_for_any_other_problem() -> None:
    other = KNOWN.copy()
    other[[0, 49]] = other[[49, 0]]
    fewer = np.arange(50) < 41
    for task, classes, known, methods in (
        ("openmoji", CLASSES, KNOWN, ["sre_clip_reference"]),
        ("folder", CLASSES, KNOWN, ["sre_clip_reference"]),
        ("i2awa", CLASSES, other, ["sre_clip_reference"]),
        ("i2awa", CLASSES, fewer, ["sre_clip_reference"]),
        ("i2awa", CLASSES[1:], KNOWN[1:], ["sre_clip_reference"]),
        ("i2awa", CLASSES, KNOWN, [name for name in METHODS if name != "sre_clip_reference"]),
    ):
        assert published_numbers(task, classes, known, methods) == []
    assert literature_notes([], reference=False) == []


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "literature.csv"
    for numbers in (published_numbers("i2awa", CLASSES, KNOWN, list(METHODS)), []):
        write_csv(path, [dataclasses.asdict(number) for number in numbers], COLUMNS)
        assert read_literature(path) == numbers
    path.write_text("method,metric\na,b\n")
    with pytest.raises(StoreError, match="no table of published numbers"):
        read_literature(path)
    with pytest.raises(StoreError, match="is missing"):
        read_literature(tmp_path / "none.csv")
