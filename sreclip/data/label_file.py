"""A file of labels that a person gave to target images: CSV with the columns path and class."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sreclip.data.class_names import display_name
from sreclip.errors import DataError, did_you_mean, some
from sreclip.files import read_utf8, write_text

COLUMNS = ("path", "class")
# What stands for the class where an image shows none of the task's.
NONE_OF_THESE = "none of these"
# Labels that are no class.
NO_LABEL, SHOWS_NONE = -1, -2
_HINT = (
    "write CSV with the columns path and class, one image per row: the path as in "
    "reports/predictions.csv, and a class of the task or 'none of these'"
)


class HandLabel(NamedTuple):
    """A row of the file, and where it stands."""

    path: str
    name: str
    where: str


def read_label_file(path: Path) -> list[HandLabel]:
    """Read rows in the order of the file; other columns and rows without a class are left out.

    Raises `DataError` if the file is missing, not UTF-8, not CSV or lacks a column; and, with
    rows, if a path is empty or has two classes.
    """
    return _checked(path, _rows(path)[1])


def _rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the columns, and the rows with the lines that they end in."""
    text = read_utf8(path, "file of labels", f"check evaluate.labels; {_HINT}")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = list(reader.fieldnames or ())
        missing = [name for name in COLUMNS if name not in columns]
        if missing:
            raise DataError(f"{path}, line 1: no column {' and no column '.join(missing)}", _HINT)
        return columns, [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}", _HINT) from error


def _checked(path: Path, rows: Sequence[tuple[int, dict[str, str]]]) -> list[HandLabel]:
    found: dict[str, HandLabel] = {}
    problems = []
    for line, row in rows:
        label = HandLabel(row["path"] or "", (row["class"] or "").strip(), f"line {line}")
        if not label.path:
            problems.append(f"{label.where}: no path")
        elif label.name:
            first = found.setdefault(label.path, label)
            if first.name != label.name:
                problems.append(
                    f"{label.where}: {label.path} is {label.name!r}, and {first.name!r} in "
                    f"{first.where}"
                )
    if problems:
        raise DataError(f"{path}: rows that cannot be used: {some(problems, 10)}", _HINT)
    return list(found.values())


def labels_of(path: Path, classes: Sequence[str]) -> dict[str, int]:
    """Return the labels of a file by image: numbers of ``classes``, or `SHOWS_NONE`.

    Raises as `read_label_file`; `DataError` with all rows that name no class.
    """
    numbers = {NONE_OF_THESE: SHOWS_NONE} | {name: at for at, name in enumerate(classes)}
    labels, problems = {}, []
    for row in read_label_file(path):
        name = row.name if row.name in numbers else display_name(row.name)
        if name in numbers:
            labels[row.path] = numbers[name]
        else:
            near = did_you_mean(row.name, numbers)
            problems.append(f"{row.where}: no class {row.name!r}{near}")
    if problems:
        raise DataError(
            f"{path}: rows that name no class of this task: {some(problems, 10)}", _HINT
        )
    return labels


def give_label(path: Path, image: str, name: str | None) -> None:
    """Write the class of one image into a file, or take it back with None.

    All else of the file stays: other images, other columns, and what another program has written
    since. Raises `DataError` if what is there is no file of labels, `StoreError` if it cannot be
    written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone_in(path.parent):
        columns, numbered = _rows(path) if path.exists() else (list(COLUMNS), [])
        _checked(path, numbered)
        rows = [row for _, row in numbered]
        own = [row for row in rows if row["path"] == image]
        if not own and name is not None:
            own = [{"path": image}]
            rows += own
        for row in own:
            row["class"] = name or ""
        rows = [row for row in rows if any(row.get(each) for each in columns if each != "path")]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(
            text, columns, restval="", extrasaction="ignore", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)
        write_text(path, text.getvalue())


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other program changes labels in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
