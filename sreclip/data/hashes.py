"""SHA-256 of many files, remembered between runs by size and modification time."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sreclip.data.manifest import check_paths, resolve_inside
from sreclip.errors import DataError
from sreclip.files import atomic_path
from sreclip.keys import content_key

if TYPE_CHECKING:
    import pandas as pd

UNREADABLE = ""
_BATCH = 512
# A file written in the same tick of the file system's clock as it was hashed looks unchanged
# afterwards; so what is younger than this when it is hashed is hashed again next time.
_TOO_FRESH_NS = 2_000_000_000


@dataclass(frozen=True)
class FileHashes:
    """Sizes and hashes in the order of the pictures; `UNREADABLE` where a file cannot be read."""

    sha256: pd.Series
    size: np.ndarray
    mtime_ns: np.ndarray
    n_read: int


@dataclass(frozen=True)
class _Known:
    """What the cache says of a batch of files; ``size`` is -1 where it says nothing."""

    size: np.ndarray
    mtime_ns: np.ndarray
    sha256: list[str | None]


def hash_pictures(
    root: Path,
    paths: pd.Series,
    row_ids: np.ndarray,
    *,
    cache: Path,
    progress: bool = False,
) -> FileHashes:
    """Hash files below ``root``.

    Parameters
    ----------
    root : Path
        Data root.
    paths : Series of str
        Relative to the root, ``(n_pictures,)``.
    row_ids : ndarray
        Their row ids, int64, ``(n_pictures,)``.
    cache : Path
        Parquet file with what was hashed before; replaced at the end. A file whose size and
        modification time are those in the cache is not read. A damaged cache, or that of another
        root, counts as none.
    progress : bool
        Show a bar.

    Raises
    ------
    DataError
        A path leaves the root, a file is missing, or changes while it is read.
    """
    import pandas as pd
    from tqdm import tqdm

    check_paths(paths, f"pictures below {root}")
    for folder in sorted(set(paths.str.rpartition("/")[0].unique())):
        resolve_inside(root, folder)
    known = _read_cache(cache, root)
    batches = [slice(at, at + _BATCH) for at in range(0, len(paths), _BATCH)]

    def run(rows: slice) -> tuple[list[str], np.ndarray, np.ndarray, int]:
        return _hash_batch(root, paths.iloc[rows].tolist(), _look_up(known, row_ids[rows]))

    done = []
    with (
        ThreadPoolExecutor(min(32, (os.cpu_count() or 1) + 4)) as pool,
        tqdm(total=len(paths), desc="hash", unit="file", disable=None if progress else True) as bar,
    ):
        try:
            for result in pool.map(run, batches):
                done.append((pd.Series(result[0], dtype="string"), *result[1:]))
                bar.update(len(result[0]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if not done:
        nothing = np.empty(0, dtype=np.int64)
        return FileHashes(pd.Series([], dtype="string"), nothing, nothing, 0)
    hashes = FileHashes(
        pd.concat([part[0] for part in done], ignore_index=True),
        np.concatenate([part[1] for part in done]),
        np.concatenate([part[2] for part in done]),
        sum(part[3] for part in done),
    )
    _write_cache(cache, root, row_ids, hashes)
    return hashes


def _hash_batch(
    root: Path, paths: list[str], known: _Known
) -> tuple[list[str], np.ndarray, np.ndarray, int]:
    sha256: list[str] = []
    sizes, times = (np.zeros(len(paths), dtype=np.int64) for _ in range(2))
    n_read = 0
    for i, path in enumerate(paths):
        status = _status(root, path)
        digest: str | None = None
        if not stat.S_ISREG(status.st_mode):
            digest = UNREADABLE
        elif status.st_size == known.size[i] and status.st_mtime_ns == known.mtime_ns[i]:
            digest = known.sha256[i]
        if digest is None:
            digest, status = _hash_file(root / path)
            n_read += 1
        sha256.append(digest)
        sizes[i] = status.st_size
        fresh = time.time_ns() - status.st_mtime_ns < _TOO_FRESH_NS
        times[i] = -1 if digest == UNREADABLE or fresh else status.st_mtime_ns
    return sha256, sizes, times, n_read


def _status(root: Path, path: str) -> os.stat_result:
    full = f"{root}/{path}"  # a Path for each of millions of files costs more than asking the disk
    try:
        status = os.lstat(full)
        if stat.S_ISLNK(status.st_mode):
            resolve_inside(root, path)
            status = os.stat(full)  # noqa: PTH116
    except OSError as error:
        raise DataError(
            f"{full}: the picture cannot be found ({error.strerror})",
            "put it back, or list the pictures again",
        ) from error
    return status


def _hash_file(path: Path) -> tuple[str, os.stat_result]:
    try:
        with path.open("rb", buffering=0) as handle:
            before = os.fstat(handle.fileno())
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
            after = os.fstat(handle.fileno())
    except OSError:
        # Not for us to stop at: extraction lists it among the rejects, with the reason.
        return UNREADABLE, path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataError(
            f"{path}: the file changed while it was read",
            "wait until the pictures are in place and run again",
        )
    return digest, after


def _root_key(root: Path) -> bytes:
    return content_key(str(root.resolve())).encode()


def _read_cache(path: Path, root: Path) -> pd.DataFrame | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        if (table.schema.metadata or {}).get(b"root") != _root_key(root):
            return None
        frame: pd.DataFrame = table.to_pandas()
        return frame[["row_id", "size", "mtime_ns", "sha256"]].sort_values("row_id")
    except (OSError, KeyError, pa.ArrowException):
        return None


def _write_cache(path: Path, root: Path, row_ids: np.ndarray, hashes: FileHashes) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "row_id": row_ids,
            "size": hashes.size,
            "mtime_ns": hashes.mtime_ns,
            "sha256": pa.chunked_array(pa.array(hashes.sha256)),
        }
    )
    keep = pa.array(hashes.mtime_ns >= 0)
    table = table.filter(keep).replace_schema_metadata({b"root": _root_key(root)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def _look_up(cache: pd.DataFrame | None, row_ids: np.ndarray) -> _Known:
    nothing = np.full(len(row_ids), -1, dtype=np.int64)
    if cache is None or not len(cache):
        return _Known(nothing, nothing, [None] * len(row_ids))
    known_ids = cache["row_id"].to_numpy()
    at = np.searchsorted(known_ids, row_ids).clip(max=len(known_ids) - 1)
    found = known_ids[at] == row_ids
    part = cache.iloc[at]
    return _Known(
        np.where(found, part["size"].to_numpy(), -1),
        np.where(found, part["mtime_ns"].to_numpy(), -1),
        part["sha256"].tolist(),
    )
