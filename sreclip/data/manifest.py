"""The manifest: one row a picture, and the class table beside it.

A task directory holds

- ``manifest.parquet``: the rows (`COLUMNS`), sorted by domain, path and member;
- ``classes.json``: the class table, in label order;
- ``target_labels.parquet``: ``row_id`` and ``label`` of target pictures, for ``evaluate`` alone;
- ``shards.json``: where the rows are cut (see `sreclip.data.shards`);
- ``summary.json``: counts, the data root, the credits.

``manifest.parquet`` is removed before the others are replaced and written after them: where it
stands, the files beside it belong to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import DataError, StoreError
from sreclip.files import atomic_path, read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

Domain = Literal["source", "target"]
DOMAINS: tuple[Domain, Domain] = ("source", "target")
COLUMNS = {
    "row_id": "int64",
    "path": "string",
    "domain": "string",
    "label": "Int32",
    "size": "int64",
    "sha256": "string",
    "member": "string",
    "offset": "Int64",
}
# Null for pictures that are files; a table without these columns holds no others.
IN_ARCHIVES = ("member", "offset")
MANIFEST_FILE = "manifest.parquet"
LABELS_FILE = "target_labels.parquet"
MADE_BY = "snakemake --cores all prepare_data"
# Rows that are read together: an extraction needs one shard's alone.
_ROW_GROUP = 16_384


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
    """One picture as a task finds it, before hashing.

    Attributes
    ----------
    path : str
        Relative to the data root: the picture, or the archive that holds it.
    domain : {'source', 'target'}
    label : int or None
    member : str or None
        Name in the archive.
    offset, size : int or None
        Where its bytes begin in the archive, and how many they are.
    """

    path: str
    domain: Domain
    label: int | None
    member: str | None = None
    offset: int | None = None
    size: int | None = None


@dataclass(frozen=True)
class TaskData:
    """What a task yields: where the pictures are, which there are, and the classes.

    ``pictures`` of the target domain carry the label where the layout tells it; it goes to the
    separate label file. ``archives`` are those that hold pictures, each with its size and
    modification time when it was listed.
    """

    root: Path
    pictures: Sequence[Picture]
    classes: Sequence[ClassEntry]
    credits: str = ""
    notes: tuple[str, ...] = field(default=())
    archives: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def row_id(domain: str, path: str, member: str | None = None) -> int:
    """Give a picture a number that no other picture's coming or going changes (63 bits)."""
    digest = hashlib.sha256(f"{domain}/{shown_name(path, member)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def shown_name(path: str, member: str | None) -> str:
    """Name a picture for a reader: its path, or that of its archive and its name in there."""
    return path if member is None else f"{path}/{member}"


def shown_names(rows: pd.DataFrame) -> pd.Series:
    """Give `shown_name` of each row."""
    if "member" not in rows:
        return rows["path"]
    return rows["path"].where(rows["member"].isna(), rows["path"] + "/" + rows["member"])


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
        `COLUMNS`, sorted by domain, path and member, with target labels still in it; they go to the
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
    places = {name: None for name in IN_ARCHIVES if name not in rows}
    public = rows.assign(label=rows["label"].mask(target), **places).astype(COLUMNS)
    _write_parquet(folder / MANIFEST_FILE, public[list(COLUMNS)])


def _write_parquet(path: Path, frame: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, engine="pyarrow", index=False, row_group_size=_ROW_GROUP)


def read_manifest(folder: Path, columns: Sequence[str] = tuple(COLUMNS)) -> pd.DataFrame:
    """Read the manifest rows, in the order of the file.

    Parameters
    ----------
    folder : Path
        Task directory.
    columns : sequence of str
        Some of `COLUMNS`: with millions of rows it pays to name those that are needed.

    Raises
    ------
    StoreError
        The file is missing or damaged, lacks a column, or names a row twice.
    DataError
        A path leaves the data root; links are for `resolve_inside` to judge.
    """
    path = folder / MANIFEST_FILE
    with _open_parquet(path, columns) as file:
        table = file.read(columns=list(columns))
    return _checked(table, columns, path)


def read_manifest_part(folder: Path, start: int, stop: int) -> pd.DataFrame:
    """Read rows ``start`` to ``stop`` (without) alone, such as those of a shard.

    Raises
    ------
    StoreError, DataError
        As `read_manifest`; or there are no such rows.
    """
    path = folder / MANIFEST_FILE
    with _open_parquet(path, COLUMNS) as file:
        ends = _group_ends(file)
        if not 0 <= start < stop <= ends[-1]:
            raise StoreError(
                f"{path} has {ends[-1]} rows, not those from {start} to {stop}",
                f"make it again with: {MADE_BY}",
            )
        first, last = np.searchsorted(ends, [start, stop - 1], side="right").tolist()
        table = file.read_row_groups(range(first, last + 1), columns=list(COLUMNS))
        before = int(ends[first - 1]) if first else 0
    return _checked(table.slice(start - before, stop - start), COLUMNS, path)


def find_rows(folder: Path, row_ids: Sequence[int]) -> pd.DataFrame:
    """Read a few rows by their ids, in the order of the ids.

    Raises
    ------
    StoreError, DataError
        As `read_manifest`; or there is no such row.
    """
    import pyarrow as pa

    path = folder / MANIFEST_FILE
    with _open_parquet(path, COLUMNS) as file:
        at = np.flatnonzero(np.isin(file.read(columns=["row_id"])["row_id"].to_numpy(), row_ids))
        ends = _group_ends(file)
        groups = np.searchsorted(ends, at, side="right")
        parts = [
            file.read_row_group(group, columns=list(COLUMNS)).take(
                at[groups == group] - (ends[group - 1] if group else 0)
            )
            for group in np.unique(groups).tolist()
        ]
        table = pa.concat_tables(parts or [file.schema_arrow.empty_table()])
    rows = _checked(table, COLUMNS, path)
    missing = sorted(set(row_ids) - set(rows["row_id"]))
    if missing:
        raise StoreError(
            f"{path} has no row with row_id {missing[0]}",
            "a file beside it is older: delete that file and run again",
        )
    return rows.set_index("row_id", drop=False).loc[list(row_ids)].reset_index(drop=True)


def _checked(table: pa.Table, columns: Iterable[str], path: Path) -> pd.DataFrame:
    """Turn a part of the manifest into rows of the right types."""
    rows = table.to_pandas()
    for name in IN_ARCHIVES:
        if name in columns and name not in rows:
            rows[name] = None
    try:
        rows = rows[list(columns)].astype({name: COLUMNS[name] for name in columns})
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"{path}: a column has values of another kind ({error})", f"make it again: {MADE_BY}"
        ) from error
    # By sorting: a hash table of millions of rows would leave a hundred megabytes behind.
    if "row_id" in rows and not np.diff(np.sort(rows["row_id"].to_numpy())).all():
        twice = rows[rows["row_id"].duplicated()].iloc[0]
        raise StoreError(
            f"{path}: the row of {twice.get('path', twice['row_id'])!r} stands twice",
            f"make it again with: {MADE_BY}",
        )
    if "path" in rows:
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
    path = folder / LABELS_FILE
    with _open_parquet(path, ("row_id", "label")) as file:
        table = file.read(columns=["row_id", "label"]).to_pandas()
    if table["row_id"].duplicated().any():
        raise StoreError(f"{path}: a row stands twice", f"make it again with: {MADE_BY}")
    wanted = row_ids if isinstance(row_ids, np.ndarray) else np.asarray(list(row_ids), np.int64)
    labels = table.set_index("row_id")["label"].reindex(wanted)
    return labels.fillna(-1).to_numpy(dtype=np.int64)


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


def read_archives(folder: Path) -> list[str]:
    """Name the archives that a task was made from, relative to its data root; none if unknown."""
    try:
        return list(read_summary(folder).get("archives", []))
    except StoreError:  # nothing was made yet, or it will have to be made again
        return []


@contextmanager
def _open_parquet(path: Path, columns: Iterable[str]) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file that must have ``columns``, but for those that may be absent."""
    import pyarrow.parquet as pq

    if not path.exists():
        raise StoreError(f"{path} is missing", f"make it with: {MADE_BY}")
    try:
        with pq.ParquetFile(path) as file:
            names = set(file.schema_arrow.names) | set(IN_ARCHIVES)
            missing = [column for column in columns if column not in names]
            if missing:
                raise StoreError(
                    f"{path}: no column {', '.join(missing)}", f"make it again with: {MADE_BY}"
                )
            yield file
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be read ({error})", f"make it again with: {MADE_BY}"
        ) from error


def _group_ends(file: pq.ParquetFile) -> NDArray[np.int64]:
    """Give the row after the last one of each row group; a file without groups has one, empty."""
    counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    return np.cumsum(counts or [0])
