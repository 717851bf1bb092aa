"""Class similarities in few bytes, without a loss: half of the matrix, and codes for its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What a pack may consist of: codes into a table, or the values themselves.
CODES, TABLE, VALUES = "codes", "table", "values"


def pack(similarity: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Keep the upper triangle, the diagonal included, row after row.

    WordNet gives few distinct values: a table of them, ascending, and a code of one or two bytes an
    entry are enough for 5,000 classes. With more than 65,536 values these are kept as they are.

    Parameters
    ----------
    similarity : ndarray
        Symmetric float32, ``(n, n)``; may hold NaN.

    Returns
    -------
    dict
        ``codes``, uint8 or uint16, ``(n (n + 1) / 2,)``, and ``table``, float32; or ``values``,
        float32, ``(n (n + 1) / 2,)``.

    Raises
    ------
    ValueError
        The matrix is not symmetric to the bit.
    """
    # As bits: NaN equals itself, and 0 is not -0.
    bits = np.ascontiguousarray(similarity, dtype=np.float32).view(np.uint32)
    for row in range(len(bits)):
        if not np.array_equal(bits[row, row:], bits[row:, row]):
            raise ValueError(f"row {row} of the similarities differs from its column")
    triangle = np.concatenate([bits[row, row:] for row in range(len(bits))] or [bits.ravel()])
    table = np.unique(triangle)
    if len(table) > 1 << 16:
        return {VALUES: triangle.view(np.float32)}
    codes = np.empty(len(triangle), dtype=np.uint8 if len(table) <= 1 << 8 else np.uint16)
    for start in range(0, len(triangle), 1 << 20):
        chunk = slice(start, start + (1 << 20))
        codes[chunk] = np.searchsorted(table, triangle[chunk])
    return {CODES: codes, TABLE: table.view(np.float32)}


def unpack(packed: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Undo `pack`.

    Returns
    -------
    ndarray
        float32, ``(n, n)``.

    Raises
    ------
    ValueError
        What is given is not what `pack` gives.
    """
    if set(packed) == {CODES, TABLE}:
        codes, table = packed[CODES], packed[TABLE]
        if codes.dtype not in (np.uint8, np.uint16) or table.dtype != np.float32:
            raise ValueError(f"codes of type {codes.dtype} into values of type {table.dtype}")
        if codes.size and int(codes.max()) >= len(table):
            raise ValueError(f"code {codes.max()} into a table of {len(table)} values")
        flat = codes
    elif set(packed) == {VALUES} and packed[VALUES].dtype == np.float32:
        flat, table = packed[VALUES], None
    else:
        raise ValueError(f"no similarities in {', '.join(sorted(packed)) or 'nothing'}")
    n = (int(np.sqrt(8 * flat.size + 1)) - 1) // 2
    if flat.ndim != 1 or n * (n + 1) // 2 != flat.size:
        raise ValueError(f"{flat.size} numbers are not the upper half of a matrix")
    similarity = np.empty((n, n), dtype=np.float32)
    end = 0
    for row in range(n):
        start, end = end, end + n - row
        values = flat[start:end] if table is None else table[flat[start:end]]
        similarity[row, row:] = values
        similarity[row:, row] = values
    return similarity
