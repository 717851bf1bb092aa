"""Columns of Parquet files: numbers, text, and lists of equal length as rows of a matrix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sreclip.data.matrices.stored import TEXT, Stored, unreadable
from sreclip.errors import DataError

_BATCH = 4096


class _Column(Stored):
    """A column; of a list column the first row says how wide all are."""

    def __init__(self, path: Path, field: pa.Field, group_ends: NDArray[np.int64]) -> None:
        self._path, self._name, self._ends = path, field.name, group_ends
        n_rows = int(group_ends[-1]) if len(group_ends) else 0
        self._is_list = _is_list(field.type)
        value = field.type.value_type if self._is_list else field.type
        self._is_text = pa.types.is_string(value) or pa.types.is_large_string(value)
        kind = TEXT if self._is_text else _numpy_name(value)
        place = f"{path}:{field.name}"
        super().__init__(place, (n_rows,), kind)
        if self._is_list:
            self._width = self._first_width(field.type)
            self.shape = (n_rows, self._width)

    def part(self, start: int, stop: int) -> NDArray[Any]:
        first = int(np.searchsorted(self._ends, start, side="right"))
        last = int(np.searchsorted(self._ends, stop, side="left"))
        at = int(self._ends[first - 1]) if first else 0
        parts = []
        for values in self._read(_BATCH, list(range(first, last + 1))):
            parts.append(values[max(start - at, 0) : max(stop - at, 0)])
            at += len(values)
            if at >= stop:
                break
        return np.concatenate(parts)

    def chunks(self, size: int) -> Iterator[NDArray[Any]]:
        yield from self._read(size, list(range(len(self._ends))))

    def _read(self, size: int, groups: list[int]) -> Iterator[NDArray[Any]]:
        try:
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(size, groups, [self._name]):
                    yield self._values(batch.column(0))
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._path, error) from error

    def _values(self, column: Any) -> NDArray[Any]:
        if not self._is_list:
            plain = column.null_count == 0 and not self._is_text
            if plain:
                return np.asarray(column.to_numpy(zero_copy_only=False))
            return np.array(column.to_pylist(), dtype=object)
        lengths = column.value_lengths() if not _is_fixed(column.type) else None
        same = lengths is None or bool(
            (lengths.to_numpy(zero_copy_only=False) == self._width).all()
        )
        if column.null_count or not same:
            raise DataError(
                f"{self.place}: not every row has {self._width} numbers",
                "each row of a list column is one feature vector, all of one length",
            )
        flat = column.flatten()
        if flat.null_count:
            raise DataError(f"{self.place}: a row holds an empty value", "leave such rows out")
        return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(-1, self._width)

    def _first_width(self, kind: Any) -> int:
        if _is_fixed(kind):
            return int(kind.list_size)
        try:
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(1, columns=[self._name]):
                    return len(batch.column(0)[0].as_py() or ())
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._path, error) from error
        return 0


def parquet_arrays(path: Path) -> dict[str, Stored]:
    """Return the columns of a Parquet file by name."""
    try:
        with pq.ParquetFile(path) as file:
            schema, about = file.schema_arrow, file.metadata
            rows = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error
    ends = np.cumsum(rows, dtype=np.int64)
    return {field.name: _Column(path, field, ends) for field in schema}


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or _is_fixed(kind))


def _is_fixed(kind: Any) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def _numpy_name(kind: Any) -> str:
    names = {"halffloat": "float16", "float": "float32", "double": "float64"}
    return names.get(str(kind), str(kind))
