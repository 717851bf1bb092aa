"""SHA-256 of many images; those that did not change since the last run are not read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sreclip.data.archives import FileOpener, changed_error
from sreclip.data.hash_cache import HashCache, Stamp, read_cache, write_cache
from sreclip.data.place import Place, check_paths, places_of, resolve_inside
from sreclip.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

UNREADABLE = ""
_BATCH = 512
_CHUNK = 1 << 20
# A file written in the same tick of the file system's clock as it was hashed looks unchanged
# afterwards; so what is younger than this when it is hashed is hashed again next time.
_TOO_FRESH_NS = 2_000_000_000


def hash_images(
    root: Path,
    rows: pd.DataFrame,
    *,
    archives: Mapping[str, tuple[int, int]],
    cache: Path,
    outside_links: bool = False,
    progress: bool = False,
) -> tuple[pd.Series, NDArray[np.int64]]:
    """Return hash and size of each image below ``root``; `UNREADABLE` for one that cannot be read.

    ``rows`` has ``row_id`` and the columns of `Place`; rows of one archive follow one another.
    ``archives`` has the size and modification time of each archive when it was listed. ``cache``
    is what was hashed before, replaced at the end: an image is not read when its place, its size,
    and the size and modification time of its file are those in the cache.

    Raises `DataError` if a path leaves the root, a file is missing, or one changes while it is
    read.
    """
    import pandas as pd
    import pyarrow as pa
    from tqdm import tqdm

    check_paths(rows["path"], f"images below {root}")
    for folder in sorted(rows["path"].str.replace("/?[^/]*$", "", regex=True).unique()):
        resolve_inside(root, folder, outside_links=outside_links)
    if rows.empty:
        return pd.Series([], dtype="string"), np.empty(0, dtype=np.int64)
    row_ids = rows["row_id"].to_numpy()
    known = read_cache(cache, root)
    batches = [slice(at, at + _BATCH) for at in range(0, len(rows), _BATCH)]

    def run(part: slice) -> tuple[pa.Array, NDArray[np.int64]]:
        places, seen = places_of(rows.iloc[part]), known.look_up(row_ids[part])
        with contextlib.closing(FileOpener(root, outside_links=outside_links)) as files:
            done = [
                _hashed(place, files, archives, before)
                for place, before in zip(places, seen, strict=True)
            ]
        stamps, sha256 = zip(*done, strict=True)
        return pa.array(sha256, pa.large_string()), np.array(stamps, dtype=np.int64)

    with (
        ThreadPoolExecutor(min(32, (os.cpu_count() or 1) + 4)) as pool,
        tqdm(total=len(rows), desc="hash", unit="file", disable=None if progress else True) as bar,
    ):
        done = []
        for result in pool.map(run, batches):  # an error cancels the batches that wait
            done.append(result)
            bar.update(len(result[0]))
    sha256 = pa.chunked_array([part for part, _ in done])
    stamps = np.concatenate([part for _, part in done])
    write_cache(cache, root, HashCache(row_ids, stamps, sha256))
    return sha256.to_pandas().astype("string"), stamps[:, 0]


def _hashed(
    place: Place,
    files: FileOpener,
    archives: Mapping[str, tuple[int, int]],
    known: tuple[Stamp, str] | None,
) -> tuple[Stamp, str]:
    """Hash one image, or take its hash from the cache."""
    status = _status(place, files)
    stamp = _stamp(place, status)
    if place.member is not None and stamp[2:] != archives[place.path]:
        raise changed_error(files.root / place.path)
    if known is not None and stamp == known[0]:
        sha256 = known[1]
    elif stat.S_ISREG(status.st_mode):
        stamp, sha256 = _read(place, files, stamp)
    else:
        sha256 = UNREADABLE
    if sha256 == UNREADABLE or time.time_ns() - stamp.mtime_ns < _TOO_FRESH_NS:
        stamp = stamp._replace(mtime_ns=-1)
    return stamp, sha256


def _stamp(place: Place, status: os.stat_result) -> Stamp:
    size = status.st_size if place.size is None else place.size
    offset = -1 if place.offset is None else place.offset
    return Stamp(size, offset, status.st_size, status.st_mtime_ns)


def _status(place: Place, files: FileOpener) -> os.stat_result:
    full = _full(place, files)
    try:
        if place.member is not None:
            return os.fstat(files.descriptor(place.path))
        status = os.lstat(full)
        if stat.S_ISLNK(status.st_mode):
            resolve_inside(files.root, place.path, outside_links=files.outside_links)
            status = os.stat(full)  # noqa: PTH116
    except OSError as error:
        raise _missing_error(full, error) from error
    return status


def _read(place: Place, files: FileOpener, stamp: Stamp) -> tuple[Stamp, str]:
    """Hash the bytes of an image, with its stamp at that time."""
    full = _full(place, files)
    try:
        with contextlib.ExitStack() as opened:
            if place.member is not None:
                descriptor = files.descriptor(place.path)
            else:
                descriptor = os.open(full, os.O_RDONLY | os.O_CLOEXEC)
                opened.callback(os.close, descriptor)
            before = _stamp(place, os.fstat(descriptor))
            sha256 = _digest(descriptor, place.offset or 0, before.size)
            after = _stamp(place, os.fstat(descriptor))
    except FileNotFoundError as error:
        raise _missing_error(full, error) from error
    except OSError:
        # No reason to stop here: extraction lists it among the rejects, with the reason.
        return stamp, UNREADABLE
    if before != after:
        raise changed_error(Path(full))
    return after, sha256


def _digest(descriptor: int, offset: int, size: int) -> str:
    digest = hashlib.sha256()
    while size > 0 and (part := os.pread(descriptor, min(size, _CHUNK), offset)):
        digest.update(part)
        offset, size = offset + len(part), size - len(part)
    return digest.hexdigest()


def _full(place: Place, files: FileOpener) -> str:
    # A Path for each of millions of files costs more than asking the disk.
    return f"{files.root}/{place.path}"


def _missing_error(full: str, error: OSError) -> DataError:
    return DataError(
        f"{full}: the image cannot be found ({error.strerror})",
        "put it back, or list the images again",
    )
