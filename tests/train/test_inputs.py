"""What a fit reads takes no more memory than the rows that are kept, and a portion."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sreclip.train import inputs


class Rows:
    """Stored rows that are made up when they are read, so that they take no memory before."""

    dtype = np.dtype(np.float16)

    def __init__(self, n: int, dim: int) -> None:
        self.shape = (n, dim)
        self.most = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(len(self))
        self.most = max(self.most, stop - start)
        numbers = np.arange(start, stop, dtype=np.float16) % np.float16(1024)
        return np.repeat(numbers[:, None], self.shape[1], axis=1)


@pytest.mark.parametrize("n", [1, 99, 100, 1000])
def test_kept_rows_are_those_asked_for(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "CHUNK", 100)
    rows: Any = SimpleNamespace(features=Rows(n, 3))
    keep = np.random.default_rng(0).random(n) < 0.5
    kept = inputs._kept_rows(rows, keep)
    assert kept.dtype == np.float16
    assert np.array_equal(kept, rows.features[0:n][keep])
    assert rows.features.most <= max(100, n)


def test_reading_holds_what_is_kept_and_a_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "CHUNK", 256)
    n, dim = 20_000, 128
    rows: Any = SimpleNamespace(features=Rows(n, dim))
    keep = np.arange(n) % 4 != 0
    tracemalloc.start()
    kept = inputs._kept_rows(rows, keep)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept.nbytes == 2 * dim * keep.sum()
    assert peak < kept.nbytes + 8 * 256 * 2 * dim
