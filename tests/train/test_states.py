"""Which states of a fit are kept, and what is read back."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from sreclip.errors import DamagedError, StoreError
from sreclip.train.states import SavedFit, checkpoint_steps, place


def test_the_reference_authors_test_every_300th_step_but_the_last() -> None:
    assert checkpoint_steps(3000, 9) == tuple(range(300, 3000, 300))


@pytest.mark.parametrize(
    ("total", "count", "expected"), [(10, 0, ()), (0, 3, ()), (1, 3, ()), (3, 9, (1, 2))]
)
def test_few_steps(total: int, count: int, expected: tuple[int, ...]) -> None:
    assert checkpoint_steps(total, count) == expected


@given(st.integers(1, 5000), st.integers(0, 50))
def test_steps_are_within_and_evenly_spaced(total: int, count: int) -> None:
    steps = checkpoint_steps(total, count)
    assert len(steps) == min(count, total - 1)
    assert list(steps) == sorted(set(steps))
    assert all(0 < step < total for step in steps)
    edges = [0, *steps, total]
    gaps = [b - a for a, b in itertools.pairwise(edges)]
    assert max(gaps) - min(gaps) <= 2


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
