"""Confusion counts by hand."""

from __future__ import annotations

import numpy as np

from sreclip.evaluate.confusion import confusion, confusion_table


def test_entries_and_table_by_hand() -> None:
    predicted = np.array([0, -1, -1, -1])
    entries = confusion(predicted, np.array([0, 1, 2, 1]), 4)
    assert entries.tolist() == [[0, 0, 1], [1, 4, 2], [2, 4, 1]]
    table = confusion_table(entries, 4)
    assert table[1].tolist() == [0, 0, 0, 0, 2]
    assert (table.shape, table.sum()) == ((4, 5), 4)
