"""The manifest: one row a picture, and the class table beside it.

A task directory holds

- ``manifest.parquet``: the rows (`COLUMNS`), sorted by domain and path;
- ``classes.json``: the class table, in label order;
- ``target_labels.parquet``: ``row_id`` and ``label`` of target pictures, for ``evaluate`` alone;
- ``shards.json``: where the rows are cut (see `sreclip.data.shards`);
- ``summary.json``: counts, the data root, the credits.

``manifest.parquet`` is removed before the others are replaced and written after them: where it
stands, the files beside it belong to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sreclip.errors import DataError, StoreError
from sreclip.files import atomic_path, read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

Domain = Literal["source", "target"]
DOMAINS: tuple[Domain, Domain] = ("source", "target")
COLUMNS = {
    "row_id": "int64",
    "path": "string",
    "domain": "string",
    "label": "Int32",
    "size": "int64",
    "sha256": "string",
}
MANIFEST_FILE = "manifest.parquet"
LABELS_FILE = "target_labels.parquet"
MADE_BY = "snakemake --cores all prepare_data"


@dataclass(frozen=True)
class ClassEntry:
    """One class: its display name, prompt names and, where known beforehand, its WordNet id."""

    name: str
    prompt_names: tuple[str, ...]
    wnid: str | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.prompt_names:
            raise DataError(f"a class needs a name and a prompt name, found {self!r}")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as a task finds it, before hashing; ``path`` is relative to the data root."""

    path: str
    domain: Domain
    label: int | None


@dataclass(frozen=True)
class TaskData:
    """What a task yields: where the pictures are, which there are, and the classes.

    ``pictures`` of the target domain carry the label where the layout tells it; it goes to the
    separate label file.
    """

    root: Path
    pictures: Sequence[Picture]
    classes: Sequence[ClassEntry]
    credits: str = ""
    notes: tuple[str, ...] = field(default=())


def row_id(domain: str, path: str) -> int:
    """Give a picture a number that no other picture's coming or going changes (63 bits)."""
    digest = hashlib.sha256(f"{domain}/{path}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def resolve_inside(root: Path, relative: str) -> Path:
    """Join a manifest path to the data root.

    Returns
    -------
    Path
        Absolute, links followed. It need not exist.

    Raises
    ------
    DataError
        The path is absolute, climbs out of the root, or a link leads out of it or in a circle.
    """
    try:
        if not _climbs(relative):
            full = (root / relative).resolve()
            if full.is_relative_to(root.resolve()):
                return full
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a NUL byte
        raise DataError(
            f"manifest path {relative!r} cannot be followed ({error})", "mend or remove it"
        ) from error
    raise DataError(
        f"manifest path {relative!r} leaves the data root {root}",
        "keep pictures (and the targets of links) under the root",
    )


def _climbs(relative: str) -> bool:
    pure = PurePosixPath(relative)
    return pure.is_absolute() or ".." in pure.parts


def withdraw_task(folder: Path) -> None:
    """Take the manifest away before the files that belong to it are replaced.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    path = folder / MANIFEST_FILE
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be replaced ({error.strerror})",
            "make the folder writable or choose another output folder",
        ) from error


def write_task(folder: Path, rows: pd.DataFrame, data: TaskData, summary: dict[str, Any]) -> None:
    """Write the files of a task, the manifest last.

    Parameters
    ----------
    folder : Path
        Made when missing.
    rows : DataFrame
        `COLUMNS`, sorted by domain and path, with target labels still in it; they go to the
        label file and nowhere else.
    data : TaskData
        Its class table is written.
    summary : dict
        Goes to ``summary.json`` as it is.
    """
    withdraw_task(folder)
    target = rows["domain"] == "target"
    labels = rows.loc[target & rows["label"].notna(), ["row_id", "label"]]
    write_json(folder / "classes.json", [asdict(entry) for entry in data.classes])
    _write_parquet(folder / LABELS_FILE, labels.astype({"label": COLUMNS["label"]}))
    write_json(folder / "summary.json", summary)
    public = rows.assign(label=rows["label"].mask(target)).astype(COLUMNS)
    _write_parquet(folder / MANIFEST_FILE, public[list(COLUMNS)])


def _write_parquet(path: Path, frame: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, engine="pyarrow", index=False)


def read_manifest(folder: Path) -> pd.DataFrame:
    """Read the manifest rows (`COLUMNS`), in the order of the file.

    Raises
    ------
    StoreError
        The file is missing or damaged, lacks a column, or names a row twice.
    DataError
        A path leaves the data root; links are for `resolve_inside` to judge.
    """
    path = folder / MANIFEST_FILE
    rows = _read_parquet(path, COLUMNS)
    try:
        rows = rows.astype(COLUMNS)
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"{path}: a column has values of another kind ({error})", f"make it again: {MADE_BY}"
        ) from error
    repeated = rows.loc[rows["row_id"].duplicated(), "path"]
    if len(repeated):
        raise StoreError(
            f"{path}: the row of {repeated.iloc[0]!r} stands twice",
            f"make it again with: {MADE_BY}",
        )
    check_paths(rows["path"], str(path))
    return rows


def check_paths(paths: pd.Series, where: str) -> None:
    """Refuse paths that are empty, absolute or climb; quick, without looking at the disk.

    Raises
    ------
    DataError
        Naming the first such path and its row, counted from 0.
    """
    # Dots and slashes in suspect places are rare; the exact test is for those rows alone.
    suspect = paths.isna() | paths.str.startswith("/") | paths.str.contains("..", regex=False)
    suspect |= paths == ""
    for row in np.flatnonzero(suspect.to_numpy(dtype=bool, na_value=True)):
        path = paths.iloc[row]
        if not isinstance(path, str) or not path or _climbs(path):
            raise DataError(
                f"{where}, row {row}: path {path!r} leaves the data root",
                "paths are relative to the root, without '..'",
            )


def read_target_labels(folder: Path, row_ids: Iterable[int]) -> np.ndarray:
    """Labels of target rows in the order of ``row_ids``, -1 where none is known.

    Only ``evaluate`` may call this.

    Returns
    -------
    ndarray
        int64, ``(n_rows,)``.
    """
    table = _read_parquet(folder / LABELS_FILE, ("row_id", "label"))
    if table["row_id"].duplicated().any():
        raise StoreError(
            f"{folder / LABELS_FILE}: a row stands twice", f"make it again with: {MADE_BY}"
        )
    labels = table.set_index("row_id")["label"]
    return labels.reindex(list(row_ids)).fillna(-1).to_numpy(dtype=np.int64)


def read_classes(folder: Path) -> list[ClassEntry]:
    """Read the class table, in label order."""
    path = folder / "classes.json"
    try:
        return [
            ClassEntry(entry["name"], tuple(entry["prompt_names"]), entry["wnid"])
            for entry in read_json(path, made_by=MADE_BY)
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is not a class table ({type(error).__name__}: {error})",
            f"make it again with: {MADE_BY}",
        ) from error


def read_summary(folder: Path) -> dict[str, Any]:
    """Read the counts, the data root and the credits of a task."""
    summary: dict[str, Any] = read_json(folder / "summary.json", made_by=MADE_BY)
    return summary


def _read_parquet(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    import pandas as pd

    if not path.exists():
        raise StoreError(f"{path} is missing", f"make it with: {MADE_BY}")
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be read ({error})", f"make it again with: {MADE_BY}"
        ) from error
    missing = [column for column in columns if column not in frame]
    if missing:
        raise StoreError(
            f"{path}: no column {', '.join(missing)}", f"make it again with: {MADE_BY}"
        )
    return frame
