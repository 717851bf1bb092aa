"""Neighbours against a full matrix of cosines, and the sparse matrices against dense ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from sreclip.refinement.neighbours import csr, nearest_neighbours, symmetric

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]


@pytest.mark.parametrize("tile", [1, 7, 20, 2048])
@pytest.mark.parametrize(("n", "k"), [(20, 3), (20, 19), (20, 50), (2, 1), (1, 3), (20, 0)])
def test_neighbours_by_brute_force(
    n: int, k: int, tile: int, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sreclip.refinement.neighbours.TILE", tile)
    features, _ = planted(n)
    numbers, cosines = nearest_neighbours(features, k)
    expected = (features @ features.T).fill_diagonal_(-2).topk(min(k, n - 1), dim=1)
    assert torch.equal(numbers, expected.indices)
    torch.testing.assert_close(cosines, expected.values)


@pytest.mark.parametrize("tile", [7, 2048])
def test_copies_of_an_image_are_neighbours_and_never_itself(
    tile: int, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sreclip.refinement.neighbours.TILE", tile)
    features, _ = planted(6)
    numbers, cosines = nearest_neighbours(features.repeat(5, 1), 4)
    torch.testing.assert_close(cosines, torch.ones_like(cosines))
    images = torch.arange(30)
    assert (numbers % 6 == images[:, None] % 6).all()
    assert (numbers.sort(dim=1).values.diff(dim=1) > 0).all()
    assert (numbers != images[:, None]).all()


def test_symmetric_adds_the_transpose_and_equal_entries() -> None:
    rows, columns = torch.tensor([0, 0, 2, 0]), torch.tensor([1, 2, 0, 1])
    dense = torch.zeros(4, 4)
    for row, column, value in zip(rows, columns, (1.0, 2.0, 3.0, 4.0), strict=True):
        dense[row, column] += value
    matrix = symmetric(rows, columns, torch.tensor([1.0, 2.0, 3.0, 4.0]), 4)
    assert torch.equal(matrix.to_dense(), dense + dense.T)


def test_csr_row_by_row_and_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    matrix = csr(torch.tensor([2, 0, 1]), torch.tensor([0, 3, 1]), torch.tensor([5.0, 6.0, 7.0]), 4)
    expected = torch.zeros(3, 4)
    expected[0, 0], expected[0, 3], expected[2, 1] = 5, 6, 7
    assert torch.equal(matrix.to_dense(), expected)
    assert not recwarn.list
