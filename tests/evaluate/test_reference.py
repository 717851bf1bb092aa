"""Batches and choice of the authors' way of evaluating."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreclip.evaluate import reference
from sreclip.evaluate.metrics import ACCURACIES
from sreclip.evaluate.reference import LAST, best_of, class_sorted_batches, protocol_warning


def test_batches_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "BATCH_SIZE", 3)
    labels = np.array([2, 0, -1, 1, 0, 2, 2, -1, 1])
    known = np.array([True, False, True])
    batches = class_sorted_batches(labels, known)
    # Classes 0 and 2 are known: 1 4 | 0 5 6, in batches of three; class 1: 3 8; no label: 2 7.
    assert [rows.tolist() for rows in batches] == [[1, 4, 0], [5, 6], [3, 8], [2, 7]]


@given(st.lists(st.integers(-1, 4), max_size=40), st.integers(1, 7))
def test_each_image_is_in_one_batch_with_its_kind(labels: list[int], size: int) -> None:
    values = np.array(labels, dtype=np.int64)
    known = np.array([True, False, True, True, False])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "BATCH_SIZE", size)
        batches = class_sorted_batches(values, known)
    assert sorted(int(row) for rows in batches for row in rows) == list(range(len(labels)))
    for rows in batches:
        found = values[rows]
        assert 1 <= len(rows) <= size
        assert (np.diff(found) >= 0).all()
        assert len({-1 if label < 0 else int(known[label]) for label in found}) == 1


def test_each_metric_at_its_own_best_step() -> None:
    metrics = {
        300: {"known": 0.9, "unknown": 0.1, "h": 0.18, "zsl": 0.5, "ausuc": 0.7, "ece": 0.1},
        600: {"known": 0.6, "unknown": 0.6, "h": 0.6, "zsl": 0.5, "ausuc": 0.8, "ece": 0.2},
        LAST: {"known": 0.5, "unknown": 0.7, "h": 0.58, "zsl": 0.5, "ausuc": 0.6, "ece": 0.3},
    }
    values, steps = best_of(metrics)
    # Curve and calibration are the last step's; of equal steps the first is named.
    assert values == {
        "known": 0.9, "unknown": 0.7, "h": 0.6, "zsl": 0.5, "ausuc": 0.6, "ece": 0.3
    }  # fmt: skip
    assert steps == {"known": 300, "unknown": LAST, "h": 600, "zsl": 300}
    assert set(steps) <= set(ACCURACIES)


def test_one_state_is_as_it_is() -> None:
    last = {"known": 0.5, "ece": 0.3}
    assert best_of({LAST: last}) == (last, {"known": LAST})


def test_the_warning_says_what_was_done() -> None:
    for warning in (protocol_warning(0), protocol_warning(9)):
        assert "class-sorted batches, which leak label information" in warning
        assert "for comparison with published numbers only, never a result" in warning
    assert "best checkpoint on the TEST labels" in protocol_warning(9)
    assert "train.checkpoints is 0" in protocol_warning(0)
    assert "best checkpoint" not in protocol_warning(0)
