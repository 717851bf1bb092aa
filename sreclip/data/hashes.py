"""SHA-256 of many pictures, remembered between runs by size, place and modification time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sreclip.data.archives import changed_meanwhile, open_regular
from sreclip.data.manifest import check_paths, resolve_inside
from sreclip.errors import DataError
from sreclip.files import atomic_path
from sreclip.keys import content_key

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

UNREADABLE = ""
_BATCH = 512
_CHUNK = 1 << 20
# A file written in the same tick of the file system's clock as it was hashed looks unchanged
# afterwards; so what is younger than this when it is hashed is hashed again next time.
_TOO_FRESH_NS = 2_000_000_000


@dataclass(frozen=True)
class PictureHashes:
    """Sizes and hashes in the order of the pictures; `UNREADABLE` where one cannot be read."""

    sha256: pd.Series
    size: NDArray[np.int64]
    n_read: int


class _Stamp(NamedTuple):
    """What the disk says of a picture; when it says the same again, the hash is the same.

    ``offset`` is -1 for a file, whose ``size`` is its ``file_size``.
    """

    size: int
    offset: int
    file_size: int
    mtime_ns: int


def hash_pictures(
    root: Path,
    rows: pd.DataFrame,
    *,
    archives: Mapping[str, tuple[int, int]],
    cache: Path,
    progress: bool = False,
) -> PictureHashes:
    """Hash pictures below ``root``.

    Parameters
    ----------
    root : Path
        Data root.
    rows : DataFrame
        ``row_id`` and ``path``; ``offset`` and ``size`` of those in archives. Those of an archive
        follow one another.
    archives : Mapping
        Size and modification time of each archive when it was listed.
    cache : Path
        Parquet file with what was hashed before; replaced at the end. A picture is not read when
        its place, its size, and the size and modification time of its file are those in the
        cache. A damaged cache, or that of another root, counts as none.
    progress : bool
        Show a bar.

    Raises
    ------
    DataError
        A path leaves the root, a file is missing, or one changes while it is read.
    """
    import pandas as pd
    import pyarrow as pa
    from tqdm import tqdm

    check_paths(rows["path"], f"pictures below {root}")
    for folder in sorted(rows["path"].str.replace("/?[^/]*$", "", regex=True).unique()):
        resolve_inside(root, folder)
    row_ids = rows["row_id"].to_numpy()
    known = _read_cache(cache, root)
    batches = [slice(at, at + _BATCH) for at in range(0, len(rows), _BATCH)]

    def run(part: slice) -> tuple[pa.Array, NDArray[np.int64], int]:
        places, seen = _places(rows.iloc[part]), known.look_up(row_ids[part])
        with contextlib.closing(_Hasher(root, archives)) as hasher:
            for place, stamp_and_hash in zip(places, seen, strict=True):
                hasher.add(*place, *stamp_and_hash)
        numbers = np.fromiter(chain.from_iterable(hasher.stamps), np.int64)
        sha256 = pa.array(hasher.sha256, pa.large_string())
        return sha256, numbers.reshape(-1, len(_Stamp._fields)), hasher.n_read

    done = []
    with (
        ThreadPoolExecutor(min(32, (os.cpu_count() or 1) + 4)) as pool,
        tqdm(total=len(rows), desc="hash", unit="file", disable=None if progress else True) as bar,
    ):
        try:
            for result in pool.map(run, batches):
                done.append(result)
                bar.update(len(result[0]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if not done:
        return PictureHashes(pd.Series([], dtype="string"), np.empty(0, dtype=np.int64), 0)
    sha256 = pa.chunked_array([part for part, _, _ in done])
    stamps = np.concatenate([part for _, part, _ in done])
    _write_cache(cache, root, row_ids, stamps, sha256)
    return PictureHashes(
        sha256.to_pandas().astype("string"),
        stamps[:, 0],
        sum(n_read for _, _, n_read in done),
    )


def _places(rows: pd.DataFrame) -> zip[tuple[str, int, int]]:
    """Give path, offset and size, both -1 for a file."""
    offset, size = (rows[name].to_numpy(np.int64, na_value=-1) for name in ("offset", "size"))
    return zip(rows["path"].tolist(), offset.tolist(), size.tolist(), strict=True)


class _Hasher:
    """Hashes pictures one after another; the archive of the last one stays open."""

    def __init__(self, root: Path, archives: Mapping[str, tuple[int, int]]) -> None:
        self.sha256: list[str] = []
        self.stamps: list[_Stamp] = []
        self.n_read = 0
        self._root, self._archives = root, archives
        self._path = ""
        self._handle: BinaryIO | None = None

    def add(
        self,
        path: str,
        offset: int,
        size: int,
        known: tuple[int, ...] | None,
        known_sha256: str | None,
    ) -> None:
        """Hash one picture, or take its hash from the cache."""
        packed = offset >= 0
        if packed:
            stamp = _Stamp(size, offset, *self._archive(path))
            regular = True
        else:
            status = _status(self._root, path)
            stamp = _file_stamp(status)
            regular = stat.S_ISREG(status.st_mode)
        if not regular:
            digest = UNREADABLE
        elif stamp == known and known_sha256 is not None:
            digest = known_sha256
        else:
            self.n_read += 1
            if packed:
                digest = self._hash_member(offset, size)
            else:
                digest, stamp = hash_file(f"{self._root}/{path}")
        if digest == UNREADABLE or time.time_ns() - stamp.mtime_ns < _TOO_FRESH_NS:
            stamp = stamp._replace(mtime_ns=-1)
        self.sha256.append(digest)
        self.stamps.append(stamp)

    def _archive(self, path: str) -> tuple[int, int]:
        if path != self._path:
            self.close()
            full = resolve_inside(self._root, path)
            try:
                self._handle = open_regular(full)
            except OSError as error:
                raise _missing(f"{full}", error) from error
            self._path = path
            self._refuse_change()
        return self._archives[path]

    def _hash_member(self, offset: int, size: int) -> str:
        assert self._handle is not None
        digest = hashlib.sha256()
        try:
            while size > 0:
                part = os.pread(self._handle.fileno(), min(size, _CHUNK), offset)
                if not part:
                    raise changed_meanwhile(self._root / self._path)
                digest.update(part)
                offset, size = offset + len(part), size - len(part)
        except OSError:
            return UNREADABLE
        return digest.hexdigest()

    def _refuse_change(self) -> None:
        assert self._handle is not None
        status = os.fstat(self._handle.fileno())
        if (status.st_size, status.st_mtime_ns) != self._archives[self._path]:
            raise changed_meanwhile(self._root / self._path)

    def close(self) -> None:
        """Close the archive, once more as it was listed."""
        if self._handle is None:
            return
        try:
            self._refuse_change()
        finally:
            self._handle.close()
            self._handle, self._path = None, ""


def _file_stamp(status: os.stat_result) -> _Stamp:
    return _Stamp(status.st_size, -1, status.st_size, status.st_mtime_ns)


def _status(root: Path, path: str) -> os.stat_result:
    full = f"{root}/{path}"  # a Path for each of millions of files costs more than asking the disk
    try:
        status = os.lstat(full)
        if stat.S_ISLNK(status.st_mode):
            resolve_inside(root, path)
            status = os.stat(full)  # noqa: PTH116
    except OSError as error:
        raise _missing(full, error) from error
    return status


def _missing(full: str, error: OSError) -> DataError:
    return DataError(
        f"{full}: the picture cannot be found ({error.strerror})",
        "put it back, or list the pictures again",
    )


def hash_file(full: str) -> tuple[str, _Stamp]:
    """Hash a file, and give its stamp at that time."""
    try:
        descriptor = os.open(full, os.O_RDONLY | os.O_CLOEXEC)
        try:
            before = os.fstat(descriptor)
            digest = _digest(descriptor, before.st_size)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise _missing(full, error) from error
    except OSError:
        # Not for us to stop at: extraction lists it among the rejects, with the reason.
        return UNREADABLE, _file_stamp(os.stat(full))  # noqa: PTH116
    if _file_stamp(before) != _file_stamp(after):
        raise changed_meanwhile(Path(full))
    return digest, _file_stamp(after)


def _digest(descriptor: int, size: int) -> str:
    digest = hashlib.sha256()
    while part := os.read(descriptor, min(size + 1, _CHUNK)):
        digest.update(part)
    return digest.hexdigest()


def _root_key(root: Path) -> bytes:
    return content_key(str(root.resolve())).encode()


class _Cache(NamedTuple):
    """What was hashed before, sorted by row id."""

    row_ids: NDArray[np.int64]
    stamps: NDArray[np.int64]
    sha256: pa.Array

    def look_up(
        self, row_ids: NDArray[np.int64]
    ) -> Iterator[tuple[tuple[int, ...] | None, str | None]]:
        """Give stamp and hash of each row, None where there is none."""
        at = np.searchsorted(self.row_ids, row_ids)
        found = at < len(self.row_ids)
        found[found] = self.row_ids[at[found]] == row_ids[found]
        stamps = iter(self.stamps[at[found]].tolist())
        digests = iter(self.sha256.take(at[found]).to_pylist())
        for is_known in found.tolist():
            yield (tuple(next(stamps)), next(digests)) if is_known else (None, None)


def _read_cache(path: Path, root: Path) -> _Cache:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        if (table.schema.metadata or {}).get(b"root") == _root_key(root):
            table = table.sort_by("row_id")
            stamps = [table[name].to_numpy() for name in _Stamp._fields]
            sha256 = table["sha256"].cast(pa.large_string()).combine_chunks()
            return _Cache(table["row_id"].to_numpy(), np.stack(stamps, axis=1), sha256)
    except (OSError, KeyError, pa.ArrowException):
        pass
    nothing = np.empty((0, len(_Stamp._fields)), dtype=np.int64)
    return _Cache(nothing[:, 0], nothing, pa.array([], pa.large_string()))


def _write_cache(
    path: Path,
    root: Path,
    row_ids: NDArray[np.int64],
    stamps: NDArray[np.int64],
    sha256: pa.ChunkedArray,
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: stamps[:, i] for i, name in enumerate(_Stamp._fields)}
    table = pa.table({"row_id": row_ids, **columns, "sha256": sha256})
    keep = pa.array(columns["mtime_ns"] >= 0)
    table = table.filter(keep).replace_schema_metadata({b"root": _root_key(root)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)
