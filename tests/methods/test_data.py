"""What a fit is given."""

from __future__ import annotations

import torch

from sreclip.methods.data import batches, draw_shots, known_labels


def test_shots_are_drawn_class_by_class() -> None:
    labels = torch.tensor([2, 0, 2, 2, 0, 3])
    rows = draw_shots(labels, 2, torch.Generator().manual_seed(0))
    assert sorted(labels[rows].tolist()) == [0, 0, 2, 2, 3]
    assert len(rows.unique()) == 5


def test_batches_cover_every_row_once_per_pass() -> None:
    rows = batches(10, 4, torch.Generator().manual_seed(0))
    for _ in range(3):
        drawn = torch.cat([next(rows), next(rows)])
        assert len(drawn.unique()) == 8
    assert len(next(batches(3, 256, torch.Generator()))) == 3


def test_known_labels() -> None:
    known = torch.tensor([True, False, True, True])
    assert known_labels(torch.tensor([0, 2, 3]), known).tolist() == [0, 1, 2]
