"""What is read back of saved fits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sreclip.errors import DamagedError, StoreError
from sreclip.train.states import SavedFit, place


def write(path: Path, key: str = "a") -> SavedFit:
    tensors = {
        place(1) + "w": torch.tensor([1.0]),
        place(1, 5) + "w": torch.tensor([5.0]),
        place(10) + "w": torch.tensor([10.0]),
        place(1, 50) + "w": torch.tensor([50.0]),
    }
    save_file(tensors, path, metadata={"sreclip": json.dumps({"key": key})})
    return SavedFit(path, "a")


def test_each_state_is_read_on_its_own(tmp_path: Path) -> None:
    saved = write(tmp_path / "model.safetensors")
    for seed, step, value in ((1, None, 1), (1, 5, 5), (1, 50, 50), (10, None, 10)):
        assert {name: float(t) for name, t in saved.state(seed, step).items()} == {"w": value}


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(StoreError, match="is missing"):
        SavedFit(path, "a").state(1)
    with pytest.raises(StoreError, match=r"no state 'seed-1\.step-6\.'"):
        write(path).state(1, 6)
    with pytest.raises(StoreError, match="of the fit a"):
        write(path, key="b").state(1)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DamagedError, match="is damaged"):
        SavedFit(path, "a").state(1)
