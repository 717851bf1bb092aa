"""Rows of features, read from sealed files when they are asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sreclip.sealed import BLOCK, DamagedBlockError, Reader, Seal


@dataclass(frozen=True)
class StoredRows:
    """Where the rows of one file are; the file is opened for each call."""

    seal: Seal
    offset: int  # of the first row, in bytes
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, seal: Seal, dataset: h5py.Dataset) -> StoredRows:
        """Find the rows of a contiguous data set."""
        return cls(seal, dataset.id.get_offset(), dataset.shape, dataset.dtype)

    @property
    def width(self) -> int:
        """Bytes per row."""
        return self.shape[1] * self.dtype.itemsize

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Fill ``out``, ``(n_rows, dim)``, with the rows from ``start`` on."""
        with self._reader() as reader:
            reader.read_at(self.offset + start * self.width, out.data.cast("B"))

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows at ascending ``positions``."""
        width = self.width
        out = np.empty((len(positions), self.shape[1]), self.dtype)
        # Rows that begin in one block are read together.
        block = (self.offset + positions * width) // BLOCK
        cuts = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(positions)]
        near = np.empty((BLOCK // width + 1, self.shape[1]), self.dtype)
        data = near.data.cast("B")
        low, high = positions[cuts[:-1]].tolist(), positions[np.array(cuts[1:]) - 1].tolist()
        with self._reader() as reader:
            for (first, last), start, stop in zip(pairwise(cuts), low, high, strict=True):
                reader.read_at(self.offset + start * width, data[: (stop + 1 - start) * width])
                if last == first + 1:
                    out[first] = near[0]
                else:
                    out[first:last] = near[positions[first:last] - start]
        return out

    @contextlib.contextmanager
    def _reader(self) -> Iterator[Reader]:
        try:
            with self.seal.reader() as reader:
                yield reader
        except DamagedBlockError as error:
            first = max(error.start - self.offset, 0) // self.width
            last = min((error.stop - 1 - self.offset) // self.width, self.shape[0] - 1)
            what = f"rows {first} to {last} do not match their checksum"
            raise self.seal.damaged(what) from error


class FeatureRows:
    """The rows of one or more files, one below the other.

    ``rows[a:b]``, ``rows[5]``, ``rows[indices]`` (any order, repeats allowed) and ``rows[mask]``
    return arrays of the stored number format, or raise `StoreError` where a file is damaged.
    """

    def __init__(self, parts: Sequence[StoredRows]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(part.shape[0] for part in parts)])
        self.dtype = parts[0].dtype
        self.shape = (int(self._starts[-1]), parts[0].shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | ArrayLike) -> NDArray[Any]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                return self._read(start, max(start, stop))
            return self._gather(np.arange(start, stop, step))
        positions = np.asarray(index)
        if positions.dtype == bool:
            if positions.shape != (len(self),):
                raise IndexError(f"a mask of shape {positions.shape} for {len(self)} rows")
            positions = np.flatnonzero(positions)
        elif not positions.size:
            positions = positions.astype(np.int64)
        if positions.ndim > 1 or positions.dtype.kind not in "iu":
            raise IndexError("rows are chosen by a slice, whole numbers or a mask")
        positions = np.where(positions < 0, positions + len(self), positions)
        if positions.size and not (positions.min() >= 0 and positions.max() < len(self)):
            raise IndexError(f"row out of range, there are {len(self)}")
        rows = self._gather(np.atleast_1d(positions))
        return rows if positions.ndim else rows[0]

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        out = np.empty((stop - start, self.shape[1]), self.dtype)
        first, last = np.searchsorted(self._starts, (start + 1, stop))
        for number in range(first - 1, last):
            begin, end = np.clip(self._starts[number : number + 2], start, stop).tolist()
            if begin < end:
                own = int(self._starts[number])
                self._parts[number].read(begin - own, out[begin - start : end - start])
        return out

    def _gather(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        order = np.argsort(positions, kind="stable")
        ascending = positions[order]
        out = np.empty((len(positions), self.shape[1]), self.dtype)
        cuts = np.searchsorted(ascending, self._starts).tolist()
        for part, start, (first, last) in zip(
            self._parts, self._starts, pairwise(cuts), strict=False
        ):
            if first < last:
                out[order[first:last]] = part.take(ascending[first:last] - start)
        return out
