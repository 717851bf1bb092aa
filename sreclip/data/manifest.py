"""The manifest: one row per image, and the class table beside it.

A task directory holds

- ``manifest.parquet``: the rows (`COLUMNS`), sorted by domain, path and member;
- ``classes.json``: the class table, in label order;
- ``target_labels.parquet``: ``row_id`` and ``label`` of target images, for ``evaluate`` alone;
- ``shards.json``: where the rows are cut (see `sreclip.data.shards`);
- ``summary.json``: counts, the data root, the credits.

``manifest.parquet`` is removed before the others are replaced and written after them: where it
exists, the files beside it belong to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sreclip.data.place import check_paths
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
MANIFEST_FILE = "manifest.parquet"
LABELS_FILE = "target_labels.parquet"
MADE_BY = "snakemake --cores all prepare_data"
_AGAIN = f"make it again with: {MADE_BY}"
# Rows that are read together: an extraction needs only those of one shard.
_ROW_GROUP = 16_384


@dataclass(frozen=True)
class ClassEntry:
    """One class: its display name, prompt names and, if known beforehand, its WordNet id."""

    name: str
    prompt_names: tuple[str, ...]
    wnid: str | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.prompt_names:
            raise DataError(f"a class needs a name and a prompt name, found {self!r}")


def row_id(domain: str, name: str) -> int:
    """Hash domain and name (`Place.name`) to 63 bits: no other image changes an image's id."""
    digest = hashlib.sha256(f"{domain}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def withdraw_task(folder: Path) -> None:
    """Remove the manifest before the files that belong to it are replaced."""
    path = folder / MANIFEST_FILE
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be replaced ({error.strerror})",
            "make the folder writable or choose another output folder",
        ) from error


def write_task(
    folder: Path, rows: pd.DataFrame, classes: Sequence[ClassEntry], summary: dict[str, Any]
) -> None:
    """Write the files of a task, the manifest last.

    ``rows`` has `COLUMNS`, sorted by domain, path and member; its target labels go to the label
    file alone.
    """
    withdraw_task(folder)
    target = rows["domain"] == "target"
    labels = rows.loc[target & rows["label"].notna(), ["row_id", "label"]]
    write_json(folder / "classes.json", [asdict(entry) for entry in classes])
    _write_parquet(folder / LABELS_FILE, labels.astype({"label": COLUMNS["label"]}))
    write_json(folder / "summary.json", summary)
    public = rows.assign(label=rows["label"].mask(target)).astype(COLUMNS)
    _write_parquet(folder / MANIFEST_FILE, public[list(COLUMNS)])


def _write_parquet(path: Path, frame: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, engine="pyarrow", index=False, row_group_size=_ROW_GROUP)


def read_manifest(folder: Path, columns: Sequence[str] = tuple(COLUMNS)) -> pd.DataFrame:
    """Read the manifest rows, in the order of the file.

    With millions of rows it pays to name only the columns that are needed.

    Raises `StoreError` if the file is missing or damaged, has no such column, or has a row twice,
    `DataError` if a path leaves the data root; links are checked by `resolve_inside`.
    """
    path = folder / MANIFEST_FILE
    with _open_parquet(path, columns) as file:
        table = file.read(columns=list(columns))
    return _checked(table, path)


def read_manifest_part(folder: Path, start: int, stop: int) -> pd.DataFrame:
    """Read only the rows from ``start`` to before ``stop``, such as those of a shard.

    Raises as `read_manifest`; `StoreError` if there are no such rows.
    """
    path = folder / MANIFEST_FILE
    with _open_parquet(path, COLUMNS) as file:
        n_rows = file.metadata.num_rows
        if not 0 <= start < stop <= n_rows:
            raise StoreError(f"{path} has {n_rows} rows, not those from {start} to {stop}", _AGAIN)
        table = _rows_at(file, np.arange(start, stop))
    return _checked(table, path)


def find_rows(folder: Path, row_ids: Sequence[int]) -> pd.DataFrame:
    """Read a few rows by their ids, in the order of the ids.

    Raises as `read_manifest`; `StoreError` if there is no such row.
    """
    path = folder / MANIFEST_FILE
    with _open_parquet(path, COLUMNS) as file:
        all_ids = file.read(columns=["row_id"])["row_id"].to_numpy()
        table = _rows_at(file, np.flatnonzero(np.isin(all_ids, row_ids)))
    rows = _checked(table, path)
    missing = sorted(set(row_ids) - set(rows["row_id"]))
    if missing:
        raise StoreError(
            f"{path} has no row with row_id {missing[0]}",
            "a file beside it is older: delete that file and run again",
        )
    return rows.set_index("row_id", drop=False).loc[list(row_ids)].reset_index(drop=True)


def _rows_at(file: pq.ParquetFile, at: NDArray[np.int64]) -> pa.Table:
    """Read some rows, sorted, from the row groups that hold them."""
    import pyarrow as pa

    ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)])
    groups = np.searchsorted(ends, at, side="right")
    parts = [
        file.read_row_group(group, columns=list(COLUMNS)).take(
            at[groups == group] - (ends[group - 1] if group else 0)
        )
        for group in np.unique(groups).tolist()
    ]
    return pa.concat_tables(parts or [file.schema_arrow.empty_table()])


def _checked(table: pa.Table, path: Path) -> pd.DataFrame:
    """Turn columns of the manifest into rows of the right types."""
    try:
        rows = table.to_pandas().astype({name: COLUMNS[name] for name in table.column_names})
    except (TypeError, ValueError) as error:
        raise StoreError(f"{path}: a column has the wrong type ({error})", _AGAIN) from error
    # Sorted, since a hash table of millions of rows would leave a hundred megabytes behind.
    if "row_id" in rows and not np.diff(np.sort(rows["row_id"].to_numpy())).all():
        twice = rows[rows["row_id"].duplicated()].iloc[0]
        raise StoreError(
            f"{path}: the row of {twice.get('path', twice['row_id'])!r} appears twice", _AGAIN
        )
    if "path" in rows:
        check_paths(rows["path"], str(path))
    return rows


def read_target_labels(folder: Path, row_ids: ArrayLike) -> np.ndarray:
    """Read labels of target rows, int64 ``(n_rows,)``, -1 where none is known.

    Only ``evaluate`` may call this.
    """
    path = folder / LABELS_FILE
    with _open_parquet(path, ("row_id", "label")) as file:
        table = file.read(columns=["row_id", "label"]).to_pandas()
    if table["row_id"].duplicated().any():
        raise StoreError(f"{path}: a row appears twice", _AGAIN)
    labels = table.set_index("row_id")["label"].reindex(np.asarray(row_ids, np.int64))
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
            f"{path} is not a class table ({type(error).__name__}: {error})", _AGAIN
        ) from error


def read_summary(folder: Path) -> dict[str, Any]:
    """Read the counts, the data root and the credits of a task."""
    summary: dict[str, Any] = read_json(folder / "summary.json", made_by=MADE_BY)
    return summary


@contextmanager
def _open_parquet(path: Path, columns: Iterable[str]) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file that must have ``columns``."""
    import pyarrow.parquet as pq

    if not path.exists():
        raise StoreError(f"{path} is missing", f"make it with: {MADE_BY}")
    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise StoreError(f"{path}: no column {', '.join(missing)}", _AGAIN)
            yield file
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error})", _AGAIN) from error
