"""Rows of ready features: read a part at a time, checked, hashed, brought to unit length."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sreclip.data.hashes import UNREADABLE
from sreclip.data.manifest import Domain
from sreclip.data.matrices.places import open_stored
from sreclip.data.matrices.stored import Stored, as_floats
from sreclip.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 1 << 14
# Rows whose length is off by no more are taken as they are, so that what sreclip exported comes
# back with the same bytes: float16 moves a length by at most 2**-11.
UNIT_TOLERANCE = 1e-3


class Scan(NamedTuple):
    """What one pass over a matrix tells of its rows."""

    sha256: pa.ChunkedArray  # by row; `UNREADABLE` where a row is zero
    n_zero: int
    n_scaled: int  # rows that are not of unit length


def open_rows(settings: Mapping[str, Any], domain: Domain) -> Stored:
    """Open the features of a domain, ``(n_rows, width)``; raise `DataError` if it has none."""
    rows = open_stored(Path(settings["root"]), settings[domain], "matrix")
    if len(rows.shape) != 2:
        raise DataError(
            f"{rows.place} has {len(rows.shape)} dimensions", "it must have one row per image"
        )
    if not all(rows.shape):
        raise DataError(
            f"{rows.place} has no row: the {domain} domain is empty",
            f"check task.ready_features.{domain}",
        )
    return rows


def scan_rows(rows: Stored) -> Scan:
    """Hash all rows; raise `DataError` if some are not finite."""
    import pyarrow as pa

    hashes: list[pa.Array] = []
    at = n_bad = n_zero = n_scaled = 0
    first_bad = None
    for chunk in rows.chunks(CHUNK):
        values = as_floats(chunk)
        norms = lengths(values)
        bad = np.flatnonzero(~np.isfinite(norms))
        if len(bad) and first_bad is None:
            first_bad = at + int(bad[0])
        zero = norms == 0
        n_bad, n_zero = n_bad + len(bad), n_zero + int(zero.sum())
        n_scaled += int((is_off(norms) & ~zero).sum())
        digests = row_hashes(values)
        hashes.append(pa.array(digests, pa.large_string()))
        at += len(values)
    if n_bad:
        raise DataError(
            f"{rows.place}: {n_bad} of {at} rows are not finite (NaN, infinite, or beyond float32),"
            f" the first is row {first_bad}",
            "make these features again, or leave the rows out, with their labels",
        )
    return Scan(pa.chunked_array(hashes, pa.large_string()), n_zero, n_scaled)


def row_hashes(values: NDArray[Any]) -> list[str]:
    """Return the SHA-256 of each row, as `as_floats` gives it; `UNREADABLE` of one that is zero."""
    width = values.itemsize * values.shape[1]
    content = values.reshape(-1).view(np.uint8).data
    found = [
        hashlib.sha256(content[at : at + width]).hexdigest() for at in range(0, len(content), width)
    ]
    for row in np.flatnonzero(~values.any(axis=1)).tolist():
        found[row] = UNREADABLE
    return found


def read_rows(rows: Stored, at: NDArray[np.int64], sha256: Sequence[str]) -> NDArray[Any]:
    """Read the rows of numbers ``at``, ascending, whose hashes must be as given.

    Raises `DataError` if they are not what they were when the task was prepared.
    """
    start, stop = int(at[0]), int(at[-1]) + 1
    if stop > rows.shape[0]:
        raise _changed(rows, stop - 1)
    values = np.ascontiguousarray(as_floats(rows.part(start, stop))[at - start])
    for row, wanted, found in zip(at.tolist(), sha256, row_hashes(values), strict=True):
        if wanted != found:
            raise _changed(rows, row)
    return values


def to_unit(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Scale the rows that are not of unit length, and say which; zero rows stay zero."""
    norms = lengths(values)
    off = is_off(norms) & (norms > 0)
    if not off.any():
        return values, off
    scaled = values.astype(np.float32)
    scaled[off] = values[off].astype(np.float64) / norms[off, None]
    return scaled, off


def lengths(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the lengths of rows, ``(n_rows,)``."""
    wide = values.astype(np.float64)
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", wide, wide)))


def is_off(norms: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which lengths are not 1."""
    return np.asarray(abs(norms - 1) > UNIT_TOLERANCE)


def _changed(rows: Stored, row: int) -> DataError:
    return DataError(
        f"{rows.place}: row {row} is not the one that the task was prepared with",
        "prepare it again: sreclip prepare-data",
    )
