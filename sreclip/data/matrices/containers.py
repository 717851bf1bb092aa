"""Arrays in HDF5 and safetensors files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sreclip.data.matrices.stored import TEXT, Stored, unreadable

_SAFETENSORS = {
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BF16": "bfloat16",
    **{f"{sign}{bits}": f"{word}{bits}" for sign, word in (("I", "int"), ("U", "uint"))
       for bits in (8, 16, 32, 64)},
}  # fmt: skip


class _Hdf5Array(Stored):
    def __init__(self, path: Path, name: str, data: h5py.Dataset) -> None:
        self._path, self._name = path, name
        self._is_text = h5py.check_string_dtype(data.dtype) is not None
        super().__init__(f"{path}:{name}", data.shape, TEXT if self._is_text else data.dtype.name)

    def part(self, start: int, stop: int) -> NDArray[Any]:
        try:
            with h5py.File(self._path, "r") as file:
                data = file[self._name]
                return np.asarray((data.asstr() if self._is_text else data)[start:stop])
        except (OSError, RuntimeError, UnicodeDecodeError) as error:
            raise unreadable(self._path, error) from error


def hdf5_arrays(path: Path) -> dict[str, Stored]:
    """Return the data sets of an HDF5 file by name, in whatever group; no link to another file."""
    found: dict[str, Stored] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            found[name] = _Hdf5Array(path, name, item)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(add)
            about = dict(file.attrs)
    except (OSError, RuntimeError) as error:
        raise unreadable(path, error) from error
    for array in found.values():
        array.note_model(about)
    return found


class _Tensor(Stored):
    def __init__(self, path: Path, name: str, shape: list[int], dtype: str) -> None:
        self._path, self._name = path, name
        super().__init__(f"{path}:{name}", shape, dtype)

    def part(self, start: int, stop: int) -> NDArray[Any]:
        framework = "pt" if self.dtype == "bfloat16" else "numpy"  # numpy has no bfloat16
        with safe_open(self._path, framework) as file:
            values = file.get_slice(self._name)[start:stop]
        return np.asarray(values.float().numpy() if framework == "pt" else values)


def safetensors_arrays(path: Path) -> dict[str, Stored]:
    """Return the tensors of a safetensors file by name."""
    found: dict[str, Stored] = {}
    try:
        with safe_open(path, "numpy") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                part = file.get_slice(name)
                kind = part.get_dtype()
                found[name] = _Tensor(path, name, part.get_shape(), _SAFETENSORS.get(kind, kind))
                found[name].note_model(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise unreadable(path, error) from error
    return found
