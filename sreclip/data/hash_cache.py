"""Hashes of images, remembered between runs by place, size and modification time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sreclip.files import atomic_path
from sreclip.keys import content_key

if TYPE_CHECKING:
    import pyarrow as pa


class Stamp(NamedTuple):
    """What the disk says of an image; when it says the same again, the hash is the same.

    ``offset`` is -1 for a file, whose ``size`` is its ``file_size``. ``mtime_ns`` is -1 when the
    hash must not be remembered.
    """

    size: int
    offset: int
    file_size: int
    mtime_ns: int


class HashCache(NamedTuple):
    """Stamps ``(n_rows, 4)`` and hashes, sorted by row id."""

    row_ids: NDArray[np.int64]
    stamps: NDArray[np.int64]
    sha256: pa.Array | pa.ChunkedArray

    def look_up(self, row_ids: NDArray[np.int64]) -> Iterator[tuple[Stamp, str] | None]:
        """Yield stamp and hash of each row, None where there is none."""
        at = np.searchsorted(self.row_ids, row_ids)
        found = at < len(self.row_ids)
        found[found] = self.row_ids[at[found]] == row_ids[found]
        stamps = iter(self.stamps[at[found]].tolist())
        hashes = iter(self.sha256.take(at[found]).to_pylist())
        for is_known in found.tolist():
            yield (Stamp(*next(stamps)), next(hashes)) if is_known else None


def read_cache(path: Path, root: Path) -> HashCache:
    """Read a cache; one that is missing, damaged, or of another root counts as empty."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        if (table.schema.metadata or {}).get(b"root") == _root_key(root):
            table = table.sort_by("row_id")
            stamps = [table[name].to_numpy() for name in Stamp._fields]
            sha256 = table["sha256"].cast(pa.large_string()).combine_chunks()
            return HashCache(table["row_id"].to_numpy(), np.stack(stamps, axis=1), sha256)
    except (OSError, KeyError, pa.ArrowException):
        pass
    nothing = np.empty((0, len(Stamp._fields)), dtype=np.int64)
    return HashCache(nothing[:, 0], nothing, pa.array([], pa.large_string()))


def write_cache(path: Path, root: Path, cache: HashCache) -> None:
    """Replace a cache."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: cache.stamps[:, i] for i, name in enumerate(Stamp._fields)}
    table = pa.table({"row_id": cache.row_ids, **columns, "sha256": cache.sha256})
    keep = pa.array(columns["mtime_ns"] >= 0)
    table = table.filter(keep).replace_schema_metadata({b"root": _root_key(root)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def _root_key(root: Path) -> bytes:
    return content_key(str(root.resolve())).encode()
