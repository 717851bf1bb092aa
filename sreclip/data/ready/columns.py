"""What belongs to the rows of ready features: classes, labels, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.data.class_list import listed_names, read_class_list
from sreclip.data.class_names import ListedClass, display_name
from sreclip.data.manifest import Domain
from sreclip.data.matrices.places import open_stored
from sreclip.data.matrices.stored import TEXT
from sreclip.errors import DataError, did_you_mean

LISTS = (".txt", ".csv", ".json")
UNLABELLED = -1


def read_classes(settings: Mapping[str, Any]) -> list[ListedClass]:
    """Read the classes in label order, from a class list or a column of names."""
    root, place = Path(settings["root"]), settings["classes"]
    if Path(place).suffix.lower() in LISTS:
        return read_class_list(root / place)
    names = open_stored(root, place, "column")
    return listed_names(_texts(names.part(0, names.shape[0])), names.place)


def read_labels(
    settings: Mapping[str, Any], domain: Domain, n_rows: int, classes: Sequence[ListedClass]
) -> NDArray[np.int32]:
    """Read the class numbers of a domain's rows, `UNLABELLED` where the target has none.

    Labels are numbers of classes, from 0, or their names. Raises `DataError` if there are not as
    many as rows, one is no class, or a source row has none.
    """
    place = settings[f"{domain}_labels"]
    if place is None:
        return np.full(n_rows, UNLABELLED, np.int32)
    column = open_stored(Path(settings["root"]), place, "column")
    values = column.part(0, column.shape[0])
    _refuse_other_count(column.place, "labels", len(values), n_rows)
    if column.dtype == TEXT:
        labels = _named(values, classes, column.place)
    else:
        labels = np.array([UNLABELLED if each is None else int(each) for each in values.tolist()])
        _refuse_beyond(labels, len(classes), column.place)
    bare = np.flatnonzero(labels == UNLABELLED)
    if domain == "source" and len(bare):
        raise DataError(
            f"{column.place}: {len(bare)} source rows have no label, the first is row {bare[0]}",
            "leave them out, or put them into the target",
        )
    return labels.astype(np.int32)


def read_ids(settings: Mapping[str, Any], domain: Domain, n_rows: int) -> list[str] | None:
    """Read what names the rows of a domain; None where nothing does.

    Raises `DataError` if there are not as many as rows, or one is empty or appears twice.
    """
    place = settings[f"{domain}_ids"]
    if place is None:
        return None
    column = open_stored(Path(settings["root"]), place, "column")
    ids = _texts(column.part(0, column.shape[0]))
    _refuse_other_count(column.place, "names", len(ids), n_rows)
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if not name.strip():
            raise DataError(f"{column.place}: row {row} has no name", "name every row")
        if (other := first.setdefault(name, row)) != row:
            raise DataError(
                f"{column.place}: {name!r} names both row {other} and row {row}",
                "each row is one image: leave one out, or name the rows otherwise",
            )
    return ids


def _texts(values: NDArray[Any]) -> list[str]:
    return ["" if each is None else str(each) for each in values.tolist()]


def _named(values: NDArray[Any], classes: Sequence[ListedClass], where: str) -> NDArray[np.int64]:
    numbers = {display_name(item.folder): label for label, item in enumerate(classes)}
    numbers |= {item.entry.name: label for label, item in enumerate(classes)}
    labels = np.empty(len(values), np.int64)
    for row, value in enumerate(values.tolist()):
        name = "" if value is None else display_name(str(value))
        if name and name not in numbers:
            raise DataError(
                f"{where}: row {row} has the label {value!r}, which is no class"
                + did_you_mean(name, numbers),
                "labels are class numbers, or names as the class list has them",
            )
        labels[row] = numbers[name] if name else UNLABELLED
    return labels


def _refuse_beyond(labels: NDArray[np.int64], n_classes: int, where: str) -> None:
    beyond = np.flatnonzero((labels < UNLABELLED) | (labels >= n_classes))
    if len(beyond):
        from_one = labels.min() == 1 and labels.max() == n_classes
        raise DataError(
            f"{where}: row {beyond[0]} has the label {labels[beyond[0]]}, but the {n_classes} "
            f"classes have the numbers 0 to {n_classes - 1}",
            "the labels seem to start at 1: subtract 1"
            if from_one
            else "check that labels and class list belong together (-1: no label)",
        )


def _refuse_other_count(where: str, what: str, found: int, n_rows: int) -> None:
    if found != n_rows:
        raise DataError(
            f"{where} has {found} {what} for {n_rows} rows of features",
            "each row has one, in the order of the rows",
        )
