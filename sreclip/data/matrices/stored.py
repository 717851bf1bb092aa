"""One array of a file, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import DataError

# Numbers that rows may have; all but the first are read as float32.
FLOATS = ("float16", "float32", "float64", "bfloat16")
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
TEXT = "text"


class Stored(ABC):
    """An array in a file; its data are read when asked for.

    Attributes
    ----------
    place : str
        The file, and the name of the array in it, as a user writes them.
    shape : tuple of int
    dtype : str
        As numpy names it, without the byte order; `TEXT` for strings.
    made_by, logit_scale : str or None
        The model and its logit scale, where the file says so as those that sreclip exports do.
    """

    made_by: str | None = None
    logit_scale: str | None = None

    def __init__(self, place: str, shape: Sequence[int], dtype: str) -> None:
        self.place, self.shape, self.dtype = place, tuple(map(int, shape)), dtype

    def note_model(self, about: Mapping[str, Any]) -> None:
        """Take over what `sreclip export-features` notes of the model, if it is there."""
        if "backbone" in about and "logit_scale" in about:
            self.made_by, self.logit_scale = str(about["backbone"]), str(about["logit_scale"])

    @abstractmethod
    def part(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows from ``start`` to before ``stop``; strings and nulls as objects."""

    def chunks(self, size: int) -> Iterator[NDArray[Any]]:
        """Yield all rows in order, about ``size`` at a time."""
        for start in range(0, self.shape[0], size):
            yield self.part(start, min(start + size, self.shape[0]))


class InMemory(Stored):
    """An array that was small, or could only be read as a whole."""

    def __init__(self, place: str, values: NDArray[Any]) -> None:
        kind = TEXT if values.dtype.kind in "UO" else values.dtype.name
        super().__init__(place, values.shape, kind)
        self._values = values

    def part(self, start: int, stop: int) -> NDArray[Any]:
        return self._values[start:stop]


def as_floats(values: NDArray[Any]) -> NDArray[Any]:
    """Return rows in this machine's byte order: float16 as it is, all else as float32.

    A double that float32 cannot hold becomes infinite, which is no row that can be used.
    """
    wanted = np.float16 if values.dtype.name == "float16" else np.float32
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=wanted)


def refuse_objects(place: str) -> DataError:
    """Return the error for an array of Python objects."""
    return DataError(
        f"{place} holds Python objects, which are not read: to unpickle runs code of the file",
        "save it as an array of numbers, or of text (dtype str), and with allow_pickle=False",
    )


def unreadable(path: Path, error: Exception) -> DataError:
    """Return the error for a file that is not what its suffix says, or is damaged."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(
        f"{path} cannot be read as {path.suffix or 'an array'} ({reason[:200]})",
        "copy it again if it is damaged, or give it the suffix of what it is",
    )


def named(arrays: Mapping[str, Stored], name: str, path: Path) -> Stored:
    """Return one array of a file by its name; raise `DataError` if there is none of that name."""
    if name in arrays:
        return arrays[name]
    raise DataError(
        f"{path} has no array {name!r}; it has: {', '.join(map(repr, arrays)) or 'none'}",
        "write the place as FILE:NAME",
    )
