"""Columns of Parquet files: numbers and text; lists and numbered columns as a matrix."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sreclip.data.matrices.stored import FLOATS, TEXT, Stored, unreadable
from sreclip.errors import DataError

_BATCH = 4096
_NUMBERED = re.compile(r"(.*?)(\d+)")


class _Table(Stored):
    """Columns of a file that are read together."""

    def __init__(
        self, path: Path, columns: list[str], ends: NDArray[np.int64], dtype: str, name: str
    ) -> None:
        self._path, self._columns, self._ends = path, columns, ends
        n_rows = int(ends[-1]) if len(ends) else 0
        super().__init__(f"{path}:{name}", (n_rows,), dtype)

    @abstractmethod
    def _values(self, batch: Any) -> NDArray[Any]:
        """Return the rows of a record batch."""

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
                for batch in file.iter_batches(size, groups, self._columns):
                    yield self._values(batch)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._path, error) from error


class _Column(_Table):
    """Numbers or text, one per row."""

    def __init__(self, path: Path, field: pa.Field, ends: NDArray[np.int64]) -> None:
        is_coded = pa.types.is_dictionary(field.type)  # a categorical column of pandas
        value = field.type.value_type if is_coded else field.type
        is_text = pa.types.is_string(value) or pa.types.is_large_string(value)
        kind = TEXT if is_text else _numpy_name(value)
        super().__init__(path, [field.name], ends, kind, field.name)

    def _values(self, batch: Any) -> NDArray[Any]:
        column = batch.column(0)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if self.dtype != TEXT and column.null_count == 0:
            return np.asarray(column.to_numpy(zero_copy_only=False))
        return np.array(column.to_pylist(), dtype=object)


class _Lists(_Table):
    """A list column; the first row says how long all are."""

    def __init__(self, path: Path, field: pa.Field, ends: NDArray[np.int64]) -> None:
        super().__init__(path, [field.name], ends, _numpy_name(field.type.value_type), field.name)
        fixed = pa.types.is_fixed_size_list(field.type)
        self._width = int(field.type.list_size) if fixed else self._first_width()
        self.shape = (self.shape[0], self._width)

    def _values(self, batch: Any) -> NDArray[Any]:
        column = batch.column(0)
        fixed = pa.types.is_fixed_size_list(column.type)
        lengths = np.empty(0) if fixed else column.value_lengths().to_numpy(zero_copy_only=False)
        if column.null_count or (lengths != self._width).any():
            raise DataError(
                f"{self.place}: not every row has {self._width} numbers",
                "each row of a list column is one feature vector, all of one length",
            )
        flat = column.flatten()
        _refuse_empty(flat, self.place)
        return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(-1, self._width)

    def _first_width(self) -> int:
        try:
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(1, columns=self._columns):
                    return len(batch.column(0)[0].as_py() or ())
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._path, error) from error
        return 0


class _SideBySide(_Table):
    """Numbered columns (``feature_0``, ``feature_1``, ...), each a component of all vectors."""

    def __init__(
        self, path: Path, columns: list[str], ends: NDArray[np.int64], dtype: str, name: str
    ) -> None:
        super().__init__(path, columns, ends, dtype, name)
        self.shape = (self.shape[0], len(columns))

    def _values(self, batch: Any) -> NDArray[Any]:
        columns = [batch.column(name) for name in self._columns]
        for column in columns:
            _refuse_empty(column, self.place)
        return np.stack([column.to_numpy(zero_copy_only=False) for column in columns], axis=1)


def parquet_arrays(path: Path) -> dict[str, Stored]:
    """Return the columns of a Parquet file by name, and numbered ones by what stands before."""
    try:
        with pq.ParquetFile(path) as file:
            schema, about = file.schema_arrow, file.metadata
            rows = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error
    ends = np.cumsum(rows, dtype=np.int64)
    found: dict[str, Stored] = {}
    numbered: dict[tuple[str, str], dict[int, str]] = {}
    for field in schema:
        kind = field.type
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        if is_list or pa.types.is_fixed_size_list(kind):
            found[field.name] = _Lists(path, field, ends)
            continue
        found[field.name] = _Column(path, field, ends)
        if (name := _NUMBERED.fullmatch(field.name)) and _numpy_name(kind) in FLOATS:
            numbered.setdefault((name[1], _numpy_name(kind)), {})[int(name[2])] = field.name
    for (prefix, dtype), columns in numbered.items():
        ordered = [columns[number] for number in sorted(columns)]
        if sorted(columns) == list(range(len(columns))):
            found[f"{prefix}*"] = _SideBySide(path, ordered, ends, dtype, f"{prefix}*")
    return found


def _refuse_empty(values: Any, place: str) -> None:
    if values.null_count:
        raise DataError(f"{place}: a row holds an empty value", "leave such rows out")


def _numpy_name(kind: Any) -> str:
    names = {"halffloat": "float16", "float": "float32", "double": "float64"}
    return names.get(str(kind), str(kind))
