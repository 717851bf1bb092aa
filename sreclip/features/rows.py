"""Feature rows as they lie in a shard: one run of bytes, with a checksum for every block of rows.

HDF5's own checksums ask for chunks and run at about 1 GB/s, an eighth of what a plain read from the
page cache gives. So the rows are a contiguous data set, which any HDF5 reader opens, and beside
them stands the XXH3 of each block of `block_rows` rows, which runs at over 20 GB/s. `StoredRows`
reads the bytes where HDF5 says that they lie, and gives out nothing that has not been compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

from sreclip.features.header import damaged, reading

FEATURES = "features"
CHECKSUMS = "features_xxh3"
BLOCK_BYTES = 1 << 14  # small, for the sake of scattered rows
PORTION = 16  # blocks; 256 kB are still in the processor's cache when they are hashed


def block_rows(dtype: np.dtype[Any], dim: int) -> int:
    """Rows under one checksum: as many as `BLOCK_BYTES` hold, and at least one."""
    return max(1, BLOCK_BYTES // (dtype.itemsize * dim))


def portion_rows(dtype: np.dtype[Any], dim: int) -> int:
    """Rows that are written and read at once, whole blocks."""
    return PORTION * block_rows(dtype, dim)


def checksums(rows: NDArray[Any]) -> NDArray[np.uint64]:
    """XXH3 (64 bit) of each block of contiguous ``rows``; the last block may be short."""
    size = block_rows(rows.dtype, rows.shape[1]) * rows.dtype.itemsize * rows.shape[1]
    data = rows.data.cast("B")
    found = [xxhash.xxh3_64_intdigest(data[at : at + size]) for at in range(0, len(data), size)]
    return np.array(found, dtype=np.uint64)


@dataclass(frozen=True)
class StoredRows:
    """Where the feature rows of one shard lie, and what their blocks hash to.

    The file is opened for each call, so that a table of any number of shards holds none open.
    """

    path: Path
    offset: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    checksums: NDArray[np.uint64]

    @classmethod
    def of(cls, file: h5py.File, path: Path) -> StoredRows:
        """Look them up in an open shard.

        Raises
        ------
        StoreError
            The rows are not one run of bytes, or the checksums are not as many as the blocks.
        """
        dataset = file[FEATURES]
        offset = dataset.id.get_offset()
        if offset is None:
            raise damaged(path, "its feature rows are not one run of bytes")
        found = cls(path, offset, dataset.shape, dataset.dtype, file[CHECKSUMS][:])
        n_blocks = -(-len(found) // found.block)
        if found.checksums.shape != (n_blocks,):
            raise damaged(path, f"{len(found.checksums)} checksums for {n_blocks} blocks of rows")
        return found

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def block(self) -> int:
        """Rows under one checksum."""
        return block_rows(self.dtype, self.shape[1])

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Fill ``out``, ``(n_rows, dim)``, with the rows from ``start`` on.

        Raises
        ------
        StoreError
            The file is missing, cut off, or a block is not what was written.
        """
        size, stop = self.block, start + len(out)
        last = min(-(-stop // size) * size, len(self))
        scratch = self._scratch()
        portion = len(scratch)
        with reading(self.path), self.path.open("rb", buffering=0) as file:
            for begin in range(start - start % size, stop, portion):
                end = min(begin + portion, last)
                inside = start <= begin and end <= stop
                rows = out[begin - start : end - start] if inside else scratch[: end - begin]
                self._load(file, begin, rows)
                self._compare(np.arange(begin // size, -(-end // size)), rows)
                if not inside:
                    shown = rows[max(start - begin, 0) : stop - begin]
                    at = max(begin - start, 0)
                    out[at : at + len(shown)] = shown

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Give the rows at ascending ``positions``, ``(n_rows, dim)``.

        Raises
        ------
        StoreError
            As in `read`.
        """
        size, scratch = self.block, self._scratch()
        blocks, number = np.unique(positions // size, return_inverse=True)
        out = np.empty((len(positions), self.shape[1]), self.dtype)
        with reading(self.path), self.path.open("rb", buffering=0) as file:
            for first in range(0, len(blocks), PORTION):
                portion = blocks[first : first + PORTION]
                missing = max(0, (int(portion[-1]) + 1) * size - len(self))
                rows = scratch[: len(portion) * size - missing]
                for at, start in enumerate((portion * size).tolist()):
                    self._load(file, start, rows[at * size : (at + 1) * size])
                self._compare(portion, rows)
                shown = slice(*np.searchsorted(number, (first, first + PORTION)))
                out[shown] = rows[(number[shown] - first) * size + positions[shown] % size]
        return out

    def _scratch(self) -> NDArray[Any]:
        """Room for a portion."""
        dim = self.shape[1]
        return np.empty((portion_rows(self.dtype, dim), dim), self.dtype)

    def _load(self, file: FileIO, start: int, rows: NDArray[Any]) -> None:
        """Fill ``rows`` with the bytes from row ``start`` on."""
        data = rows.data.cast("B")
        file.seek(self.offset + start * rows.strides[0])
        while data:
            size = file.readinto(data)
            if not size:
                raise damaged(self.path, "it is shorter than it was when written")
            data = data[size:]

    def _compare(self, blocks: NDArray[np.int64], rows: NDArray[Any]) -> None:
        """Compare the ``rows`` of whole blocks, given by number, with their checksums."""
        wrong = checksums(rows) != self.checksums[blocks]
        if wrong.any():
            start = int(blocks[wrong.argmax()]) * self.block
            end = min(start + self.block, len(self)) - 1
            raise damaged(self.path, f"rows {start} to {end} do not match their checksum")
