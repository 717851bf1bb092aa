"""Finding an array by what a user wrote: a file, a folder of parts, a pattern, ``FILE:NAME``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sreclip.data.matrices.stored import FLOATS, INTEGERS, TEXT, InMemory, Stored, named
from sreclip.data.natural import natural
from sreclip.errors import DataError, some

Kind = Literal["matrix", "column"]

_PACKAGE = "sreclip.data.matrices"
# Imported when such a file is opened: torch takes seconds.
FORMATS = {
    ".npy": "npy:npy_arrays",
    ".npz": "npy:npz_arrays",
    ".h5": "containers:hdf5_arrays",
    ".hdf5": "containers:hdf5_arrays",
    ".safetensors": "containers:safetensors_arrays",
    ".parquet": "tables:parquet_arrays",
    ".pt": "tensors:torch_arrays",
    ".pth": "tensors:torch_arrays",
}
_SUFFIXES = ", ".join(FORMATS)


class Joined(Stored):
    """Parts of one array in several files, in their order."""

    def __init__(self, place: str, parts: Sequence[Stored]) -> None:
        self._parts = parts
        self.made_by, self.logit_scale = parts[0].made_by, parts[0].logit_scale
        self._ends = np.cumsum([part.shape[0] for part in parts])
        first = parts[0]
        for other in parts[1:]:
            if other.shape[1:] != first.shape[1:] or other.dtype != first.dtype:
                raise DataError(
                    f"{first.place} and {other.place} do not belong together: "
                    f"{_size(first)} and {_size(other)}",
                    "keep the features of each model in a folder of their own",
                )
        super().__init__(place, (int(self._ends[-1]), *first.shape[1:]), first.dtype)

    def part(self, start: int, stop: int) -> NDArray[Any]:
        found, at = [], 0
        for part, end in zip(self._parts, self._ends.tolist(), strict=True):
            if start < end and stop > at:
                found.append(part.part(max(start, at) - at, min(stop, end) - at))
            at = end
        return found[0] if len(found) == 1 else np.concatenate(found)

    def chunks(self, size: int) -> Iterator[NDArray[Any]]:
        for part in self._parts:
            yield from part.chunks(size)


def files_of(root: Path, place: str) -> tuple[list[Path], str]:
    """Return the files that a user's words stand for, and the name of the array in them.

    ``place`` is below the root or absolute: a file; a folder, which stands for all files in it
    that can hold arrays; or a pattern such as ``part-*.npy``. After a colon is a name. Raises
    `DataError` if there is no such file.
    """
    path, name = root / place, ""
    files = _at(path)
    if not files and ":" in place:
        whole, _, name = place.rpartition(":")
        files = _at(root / whole)
    if files:
        return files, name
    if path.is_dir():
        raise DataError(f"{path} holds no file of arrays", f"they end in {_SUFFIXES}")
    raise DataError(f"{path}: there is no such file", "paths are below the task's root or absolute")


def open_stored(root: Path, place: str, kind: Kind) -> Stored:
    """Open the ``matrix`` (rows of numbers) or ``column`` that a user named.

    Raises `DataError` if it is missing, cannot be read without unpickling, is something else, or
    if its parts do not belong together.
    """
    files, name = files_of(root, place)
    suffixes = {path.suffix.lower() for path in files}
    if len(suffixes) > 1:
        raise DataError(
            f"{root / place} holds files of several kinds: {some([path.name for path in files])}",
            "name one kind by a pattern, such as features/*.npy",
        )
    parts = [_open(path, name, kind) for path in files]
    for part in parts:
        _check(part, kind)
    return parts[0] if len(parts) == 1 else Joined(str(root / place), parts)


def _at(path: Path) -> list[Path]:
    """Return the files behind a path, none of them hidden (as systems leave them beside others)."""
    if "*" not in path.name and "?" not in path.name and not path.is_dir():
        return [path] if path.is_file() else []
    inner = path.iterdir() if path.is_dir() else path.parent.glob(path.name)
    found = [each for each in inner if each.is_file() and not each.name.startswith(".")]
    if path.is_dir():
        found = [each for each in found if each.suffix.lower() in FORMATS]
    return sorted(found, key=lambda each: natural(each.name))


def _open(path: Path, name: str, kind: Kind) -> Stored:
    if path.suffix.lower() == ".txt" and kind == "column":
        return _lines(path)
    reader = FORMATS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: {path.suffix or 'this'} is no format of arrays", f"use {_SUFFIXES}"
        )
    module, _, function = reader.partition(":")
    read: Callable[[Path], dict[str, Stored]] = getattr(
        importlib.import_module(f"{_PACKAGE}.{module}"), function
    )
    arrays = read(path)
    if name or "" in arrays:
        return named(arrays, name, path)
    fitting = [array for array in arrays.values() if _fits(array, kind)]
    if len(fitting) == 1:
        return fitting[0]
    listed = some([f"{each} ({_size(array)})" for each, array in arrays.items()], 10)
    raise DataError(
        f"{path} holds {'several arrays' if fitting else f'no {kind}'}: {listed or 'nothing'}",
        f"write which one it is: {path.name}:NAME",
    )


def _lines(path: Path) -> Stored:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no UTF-8 text ({error})", "write one entry per line") from error
    return InMemory(str(path), np.array(lines, dtype=object))


def _fits(array: Stored, kind: Kind) -> bool:
    if kind == "column":
        return len(array.shape) == 1 and array.dtype in (TEXT, *INTEGERS)
    return len(array.shape) in (2, 3) and array.dtype in FLOATS


def _check(array: Stored, kind: Kind) -> None:
    if _fits(array, kind):
        return
    if kind == "matrix":
        raise DataError(
            f"{array.place} is no matrix of features: {_size(array)}",
            f"it must have one row per image or class, of type {', '.join(FLOATS)}",
        )
    raise DataError(
        f"{array.place} is no list of labels or names: {_size(array)}",
        "it must have one whole number or one text per row",
    )


def _size(array: Stored) -> str:
    return f"{' x '.join(map(str, array.shape))} of type {array.dtype}"
