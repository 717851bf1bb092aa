"""Neighbours against a full matrix of cosines, and the sparse matrices against dense ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from sreclip.refinement import Neighbours
from sreclip.refinement.neighbours import (
    approximate_neighbours,
    csr,
    nearest_among,
    nearest_neighbours,
    neighbour_search,
    symmetric,
)
from tests.refinement.conftest import Largest

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Approximate from the first image on."""
    monkeypatch.setattr("sreclip.refinement.neighbours.FEW", 0)


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


@pytest.mark.parametrize("tile", [1, 7, 20, 2048])
@pytest.mark.parametrize(("n", "others", "k"), [(20, 13, 3), (5, 30, 40), (1, 1, 1), (0, 4, 2)])
def test_nearest_of_others_by_brute_force(
    n: int, others: int, k: int, tile: int, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sreclip.refinement.neighbours.TILE", tile)
    features, stored = planted(20)[0][:n], planted(others, noise=1.0)[0].half()
    numbers, cosines = nearest_among(features, stored, k)
    expected = (features @ stored.double().T).topk(min(k, others), dim=1)
    assert torch.equal(numbers, expected.indices)
    torch.testing.assert_close(cosines, expected.values)
    again, narrow = nearest_among(features.half(), stored, k)
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), cosines, rtol=0, atol=1e-3)
    assert again.shape == numbers.shape


@pytest.mark.parametrize("name", ["exact", "approximate"])
@pytest.mark.parametrize("tile", [7, 2048])
def test_copies_of_an_image_are_neighbours_and_never_itself(
    tile: int, name: Neighbours, few: None, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sreclip.refinement.neighbours.TILE", tile)
    features, _ = planted(6)
    numbers, cosines = neighbour_search(name)(features.repeat(5, 1), 4)
    torch.testing.assert_close(cosines, torch.ones_like(cosines))
    images = torch.arange(30)
    assert (numbers % 6 == images[:, None] % 6).all()
    assert (numbers.sort(dim=1).values.diff(dim=1) > 0).all()
    assert (numbers != images[:, None]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_approximate_neighbours_are_nearly_the_exact_ones(
    dtype: torch.dtype, few: None, planted: Planted
) -> None:
    features = planted(2000, classes=40, dim=32, noise=0.1)[0].to(dtype)
    numbers, cosines = approximate_neighbours(features, 5)
    exact, nearest = nearest_neighbours(features, 5)
    assert (numbers[:, :, None] == exact[:, None]).any(dim=1).double().mean() > 0.9
    assert (numbers % 40 == torch.arange(2000)[:, None] % 40).double().mean() > 0.99
    torch.testing.assert_close(cosines, (features[:, None] * features[numbers]).sum(dim=2))
    assert (cosines <= nearest + 1e-6).all()
    assert (cosines.diff(dim=1) <= 0).all()
    assert (numbers != torch.arange(2000)[:, None]).all()
    assert (numbers.sort(dim=1).values.diff(dim=1) > 0).all()
    assert torch.equal(approximate_neighbours(features, 5)[0], numbers)


@pytest.mark.parametrize(("n", "k"), [(20, 19), (20, 50), (2, 1), (1, 3), (20, 0)])
def test_where_cells_hold_too_few_all_images_are_searched(
    n: int, k: int, few: None, planted: Planted
) -> None:
    features, _ = planted(n)
    expected = (features @ features.T).fill_diagonal_(-2).topk(min(k, n - 1), dim=1)
    numbers, cosines = approximate_neighbours(features, k)
    assert torch.equal(numbers, expected.indices)
    torch.testing.assert_close(cosines, expected.values)


@pytest.mark.parametrize("name", ["exact", "approximate"])
def test_no_search_holds_all_cosines(
    name: Neighbours,
    few: None,
    planted: Planted,
    largest: Largest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sreclip.refinement.neighbours.TILE", 64)
    features, _ = planted(3000, classes=300, dim=16)
    with largest:
        neighbour_search(name)(features, 3)
    assert largest.bytes <= features.nbytes
    assert largest.bytes < 8 * 3000**2 / 100


def test_few_images_are_searched_exactly(planted: Planted) -> None:
    features, _ = planted(500)
    for one, other in zip(
        approximate_neighbours(features, 4), nearest_neighbours(features, 4), strict=True
    ):
        assert torch.equal(one, other)


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
