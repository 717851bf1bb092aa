"""Tensors in ``.pt`` files of torch."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.data.matrices.stored import InMemory, Stored, unreadable
from sreclip.errors import DataError


class _TorchTensor(Stored):
    def __init__(self, place: str, tensor: Any) -> None:
        self._tensor = tensor
        super().__init__(place, tensor.shape, str(tensor.dtype).removeprefix("torch."))

    def part(self, start: int, stop: int) -> NDArray[Any]:
        rows = self._tensor[start:stop]
        return np.asarray((rows.float() if self.dtype == "bfloat16" else rows).numpy())


def torch_arrays(path: Path) -> dict[str, Stored]:
    """Return the tensors of a ``.pt`` file by name, and lists of text; one tensor has no name.

    Nothing else is unpickled. The tensors stay on the disk where torch wrote them in its present
    format.
    """
    import torch

    try:
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            saved = torch.load(path, map_location="cpu", weights_only=True)  # before torch 1.6
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path} holds other things than tensors, which are not read: to unpickle runs code "
            "of the file",
            "where you trust it, save its tensors alone: torch.save(features, 'features.pt')",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise unreadable(path, error) from error
    parts = saved if isinstance(saved, Mapping) else {"": saved}
    found: dict[str, Stored] = {}
    for name, value in parts.items():
        place = f"{path}:{name}" if name != "" else str(path)
        if isinstance(value, torch.Tensor):
            found[str(name)] = _TorchTensor(place, value.detach())
        elif isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            found[str(name)] = InMemory(place, np.array(value, dtype=object))
    return found
