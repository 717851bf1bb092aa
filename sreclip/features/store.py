"""Reading feature files: nothing is handed out that is not what the reader asked for.

An image file (one shard, or a joined view over shards) holds

- ``features``: ``(n_rows, dim)``, unit-norm, float16 by default; zero where not ok;
- ``features_xxh3`` (shards only): a checksum for each block of rows, see `sreclip.features.rows`;
- ``row_id``: ``(n_rows,)``, int64, and ``ok``: ``(n_rows,)``, uint8;
- ``rejects``: JSON bytes, a list of row id, path and reason;
- ``shards`` (joined only): JSON bytes, a list of path, key and number of rows.

A text file holds

- ``features``: ``(n_names, dim)``, float32, averaged over prompt names and templates;
- ``templates``: ``(n_names, n_templates, dim)``, float16, averaged over prompt names;
- ``names``, ``prompt_names`` and ``template_texts``: JSON bytes.

Readers check the header and the shapes, and the checksum of each block of rows that they read;
HDF5's fletcher32 guards the other data sets. A joined file is small and checked whole.
`verify_file` reads everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sreclip.errors import StoreError
from sreclip.features.checks import (
    Reject,
    ShardEntry,
    check_shapes,
    find_rows,
    read_rejects,
    read_shard_entries,
    shard_path,
    verify_file,
)
from sreclip.features.header import (
    REMADE_BY,
    Header,
    Provenance,
    check_expected,
    check_seal,
    damaged,
    joined_rows_key,
    open_hdf5,
    read_header,
    read_json_bytes,
    reading,
    text_rows_key,
)
from sreclip.features.join import join_shards
from sreclip.features.rows import StoredRows

__all__ = [
    "FeatureRows",
    "Header",
    "ImageFeatures",
    "Provenance",
    "Reject",
    "TextFeatures",
    "join_shards",
    "joined_rows_key",
    "open_images",
    "read_text",
    "text_rows_key",
    "verify_file",
]


class FeatureRows:
    """The rows of a shard, or of several one below the other, read when they are asked for.

    ``rows[a:b]``, ``rows[5]``, ``rows[indices]`` (any order, repeats allowed) and ``rows[mask]``
    give arrays of the stored number format.
    """

    def __init__(self, parts: Sequence[StoredRows]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
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
            begin, end = np.clip(self._starts[number : number + 2], start, stop)
            self._parts[number].read(begin - self._starts[number], out[begin - start : end - start])
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


class ImageFeatures:
    """An open image file; close it, or use it in a ``with`` statement.

    Attributes
    ----------
    path : Path
    header : Header
    shards : list of ShardEntry
        Empty unless the file is a joined one.
    features : FeatureRows
        ``(n_rows, dim)``.
    """

    def __init__(self, path: Path, file: h5py.File, header: Header) -> None:
        self.path, self.header, self._file = path, header, file
        if header.kind == "joined":
            self.shards: list[ShardEntry] = read_shard_entries(file)
            self.features = FeatureRows(find_rows(path, header, self.shards))
        else:
            self.shards = []
            self.features = FeatureRows([StoredRows.of(file, path)])

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def row_id(self) -> NDArray[np.int64]:
        """Row ids, int64, ``(n_rows,)``."""
        return self._column("row_id")

    @cached_property
    def ok(self) -> NDArray[np.bool_]:
        """False where the picture was rejected, ``(n_rows,)``."""
        return self._column("ok").astype(bool)

    def _column(self, name: str) -> NDArray[Any]:
        """One number a row; of a joined file shard by shard, for HDF5 would keep all open."""
        if not self.shards:
            with reading(self.path, self.header.kind):
                return self._file[name][:]
        parts = []
        for entry in self.shards:
            path = shard_path(self.path, entry)
            with reading(path), open_hdf5(path) as file:
                parts.append(file[name][:])
        return np.concatenate(parts)

    @cached_property
    def rejects(self) -> list[Reject]:
        """Rejected pictures, in row order."""
        with reading(self.path, self.header.kind):
            return read_rejects(self._file)

    def positions(self, row_ids: ArrayLike) -> NDArray[np.int64]:
        """Where rows stand in this file.

        Raises
        ------
        StoreError
            A row is not in it.
        """
        wanted = np.asarray(row_ids, dtype=np.int64)
        order = np.argsort(self.row_id, kind="stable")
        found = np.searchsorted(self.row_id, wanted, sorter=order).clip(max=len(self) - 1)
        positions = order[found]
        absent = self.row_id[positions] != wanted
        if absent.any():
            raise StoreError(
                f"{self.path} has no row with row_id {wanted[absent][0]}",
                f"run: {REMADE_BY[self.header.kind]}",
            )
        return positions

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True)
class TextFeatures:
    """What a text file holds.

    Attributes
    ----------
    path : Path
    header : Header
    names, template_texts : tuple of str
    prompt_names : tuple of tuple of str
        One group a name.
    features : ndarray
        Unit-norm float32, ``(n_names, dim)``.
    """

    path: Path
    header: Header
    names: tuple[str, ...]
    prompt_names: tuple[tuple[str, ...], ...]
    template_texts: tuple[str, ...]
    features: NDArray[np.float32]

    @cached_property
    def template_features(self) -> NDArray[np.float16]:
        """One vector a name and template, ``(n_names, n_templates, dim)``; read when asked for."""
        with reading(self.path, "text"), open_hdf5(self.path) as file:
            check_expected(read_header(file, self.path), {"key": self.header.key}, self.path)
            return file["templates"][:]


def open_images(path: Path, expected: Mapping[str, Any] | None = None) -> ImageFeatures:
    """Open a shard or a joined file.

    Parameters
    ----------
    path : Path
        The file.
    expected : Mapping[str, Any], optional
        Header values that it must have, such as ``key``, ``rows_key``, ``backbone`` or
        ``weights_sha256``.

    Raises
    ------
    StoreError
        The file is missing, damaged, of another kind, or was made from something else; a shard
        of a joined file likewise.
    """
    with reading(path):
        file = open_hdf5(path)
    try:
        with reading(path):
            header = read_header(file, path)
            if header.kind == "text":
                raise StoreError(f"{path} holds texts, not images", "give an image feature file")
            check_expected(header, expected, path)
            if header.kind == "joined":
                check_seal(path, header.kind)
            check_shapes(file, header, path)
            return ImageFeatures(path, file, header)
    except BaseException:
        file.close()
        raise


def read_text(path: Path, expected: Mapping[str, Any] | None = None) -> TextFeatures:
    """Read a text file; ``expected`` as in `open_images`.

    Raises
    ------
    StoreError
        The file is missing, damaged, of another kind, or was made from something else.
    """
    with reading(path, "text"), open_hdf5(path) as file:
        header = read_header(file, path)
        if header.kind != "text":
            raise StoreError(f"{path} holds images, not texts", "give a text feature file")
        check_expected(header, expected, path)
        names: Sequence[str] = read_json_bytes(file["names"])
        features = file["features"][:]
        if features.shape != (len(names), header.dim):
            raise damaged(path, "its data sets do not fit one another", "text")
        finite = np.isfinite(features).all(axis=1)
        if not finite.all():
            raise damaged(path, f"the row of {names[int(finite.argmin())]!r} is not finite", "text")
        return TextFeatures(
            path=path,
            header=header,
            names=tuple(names),
            prompt_names=tuple(tuple(group) for group in read_json_bytes(file["prompt_names"])),
            template_texts=tuple(read_json_bytes(file["template_texts"])),
            features=features,
        )
