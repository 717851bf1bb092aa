"""What a fit reads: the kept rows and their labels, in bounded memory, and the rejects' limit."""

from __future__ import annotations

import logging
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sreclip.errors import DataError, StoreError
from sreclip.features import planned
from sreclip.features.images import Reject
from sreclip.plan.results import Result
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
    rows: Any = Rows(n, 3)
    keep = np.random.default_rng(0).random(n) < 0.5
    kept = inputs.kept_rows(rows, keep)
    assert kept.dtype == np.float16
    assert np.array_equal(kept, rows[0:n][keep])
    assert rows.most <= max(100, n)


def test_reading_holds_what_is_kept_and_a_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "CHUNK", 256)
    n, dim = 20_000, 128
    rows: Any = Rows(n, dim)
    keep = np.arange(n) % 4 != 0
    tracemalloc.start()
    kept = inputs.kept_rows(rows, keep)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept.nbytes == 2 * dim * keep.sum()
    assert peak < kept.nbytes + 8 * 256 * 2 * dim


class Images(SimpleNamespace):
    """As much of image features as is looked at."""

    def __len__(self) -> int:
        return 100


def plan_with(limit: float) -> Any:
    features = SimpleNamespace(max_rejects=limit)
    return SimpleNamespace(params=SimpleNamespace(features=features))


def test_rejects_are_named_and_limited(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    images = Images(rejects=[Reject(n, f"a/{n}.png", "the file is empty") for n in range(12)])
    monkeypatch.setattr(inputs, "open_domain", lambda plan, domain: images)
    monkeypatch.setattr(logging.getLogger("sreclip"), "propagate", True)
    with caplog.at_level(logging.WARNING):
        assert inputs.open_checked(plan_with(0.12), "source") is images
    assert "12 of the 100 source images cannot be used" in caplog.text
    with pytest.raises(DataError) as caught:
        inputs.open_checked(plan_with(0.11), "target")
    assert "12 of the 100 target images cannot be used, more than" in caught.value.message
    assert "features.max_rejects = 0.11 allows" in caught.value.message
    assert "raise features.max_rejects" in caught.value.hint
    for text in (caplog.text, caught.value.message):
        assert "a/9.png: the file is empty" in text
        assert "a/10.png" not in text
        assert "and 2 more" in text


def test_labels_are_those_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame({"row_id": [5, 6, 7, 8], "label": [1, 0, 1, None]}).astype(
        {"label": "Int64"}
    )
    monkeypatch.setattr(planned, "read_manifest", lambda folder, columns: table)
    shards = [SimpleNamespace(start=0, stop=1), SimpleNamespace(start=1, stop=3)]
    task = Result("task", Path("task"), "0")
    plan: Any = SimpleNamespace(task=task, domain_shards=lambda domain: shards)
    source: Any = SimpleNamespace(row_id=np.array([5, 6, 7]))
    assert planned.source_labels(plan, source).tolist() == [1, 0, 1]
    source.row_id = np.array([5, 7, 6])
    with pytest.raises(StoreError, match="are not those of the features"):
        planned.source_labels(plan, source)
