"""Arrays of numpy: ``.npy``, and ``.npz``, which is a zip file of them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sreclip.data.matrices.stored import TEXT, InMemory, Stored, refuse_objects, unreadable
from sreclip.errors import DataError

# Of a member's header in a zip file: its size without the name and the extra field, and where
# the sizes of these two are.
_ZIP_HEADER, _ZIP_SIZES = 30, slice(26, 30)


class NpyArray(Stored):
    """An array that lies as it is in a file, from ``offset`` on.

    Rows are read and not mapped, where they follow one another: memory stays small, and a file
    that shrinks is an error and not a crash.
    """

    def __init__(self, path: Path, place: str, offset: int = 0, size: int | None = None) -> None:
        with path.open("rb") as file:
            file.seek(offset)
            shape, self._fortran, self._dtype = _header(file, place)
            self._path, self._start = path, file.tell()
        kind = TEXT if self._dtype.kind == "U" else self._dtype.name
        super().__init__(place, shape, kind)
        end = self._start + self._dtype.itemsize * int(np.prod(shape))
        here = path.stat().st_size if size is None else offset + size
        if here < end:
            raise DataError(
                f"{place} is cut off: {here} bytes of at least {end}", "copy the file again"
            )

    def part(self, start: int, stop: int) -> NDArray[Any]:
        if self._fortran and len(self.shape) > 1:
            whole = np.memmap(self._path, self._dtype, "r", self._start, self.shape, order="F")
            return np.array(whole[start:stop], order="C")
        width = int(np.prod(self.shape[1:]))
        count = (stop - start) * width
        with self._path.open("rb") as file:
            file.seek(self._start + start * width * self._dtype.itemsize)
            values = np.fromfile(file, self._dtype, count)
        if len(values) < count:
            raise DataError(f"{self.place} became shorter while it was read", "run again")
        return values.reshape(stop - start, *self.shape[1:])


def npy_arrays(path: Path) -> dict[str, Stored]:
    """Return the array of a ``.npy`` file, which has no name."""
    try:
        return {"": NpyArray(path, str(path))}
    except (ValueError, OSError) as error:
        raise unreadable(path, error) from error


def npz_arrays(path: Path) -> dict[str, Stored]:
    """Return the arrays of a ``.npz`` file; what is compressed is read as a whole."""
    found: dict[str, Stored] = {}
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                place = f"{path}:{name}"
                if member.compress_type == zipfile.ZIP_STORED:
                    file.seek(member.header_offset)
                    sizes = np.frombuffer(file.read(_ZIP_HEADER)[_ZIP_SIZES], "<u2")
                    offset = member.header_offset + _ZIP_HEADER + int(sizes.sum())
                    found[name] = NpyArray(path, place, offset, member.file_size)
                else:
                    found[name] = _Compressed(path, place, member.filename)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise unreadable(path, error) from error
    return found


class _Compressed(Stored):
    """A compressed member of a ``.npz`` file: its data are unpacked at first use."""

    def __init__(self, path: Path, place: str, member: str) -> None:
        self._path, self._member = path, member
        self._values: InMemory | None = None
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            shape, _, dtype = _header(file, place)
        super().__init__(place, shape, TEXT if dtype.kind == "U" else dtype.name)

    def part(self, start: int, stop: int) -> NDArray[Any]:
        if self._values is None:
            try:
                with zipfile.ZipFile(self._path) as archive, archive.open(self._member) as file:
                    values = np.lib.format.read_array(file, allow_pickle=False)
            except (ValueError, OSError, zipfile.BadZipFile) as error:
                raise unreadable(self._path, error) from error
            self._values = InMemory(self.place, values)
        return self._values.part(start, stop)


def _header(file: IO[bytes], place: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"version {version} is for arrays of records")
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise refuse_objects(place)
    return shape, fortran, dtype
