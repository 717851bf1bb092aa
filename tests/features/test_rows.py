"""Rows of shards of every size, read in every way, as numpy reads the same array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sreclip.errors import StoreError
from sreclip.features.rows import FeatureRows, StoredRows
from sreclip.sealed import BLOCK, PORTION, new_sealed, open_sealed

DIM = 512
ROWS = BLOCK // (2 * DIM)  # per block


def stored(path: Path, rows: np.ndarray) -> StoredRows:
    with new_sealed(path, "images") as file:
        file["features"] = rows
    seal = open_sealed(path)
    with seal.hdf5() as file:
        return StoredRows.of(seal, file["features"])


def random_rows(n_rows: int, dim: int = DIM, dtype: type = np.float16) -> np.ndarray:
    return np.random.default_rng(n_rows).random((n_rows, dim), np.float32).astype(dtype)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureRows, np.ndarray]:
    """Shards that end within a block, at its end, and beyond a portion."""
    portion = PORTION // BLOCK * ROWS
    sizes = (1, ROWS, 2 * portion + 5, ROWS - 1, portion, 3 * ROWS)
    folder = tmp_path_factory.mktemp("shards")
    parts = [random_rows(size) for size in sizes]
    paths = [folder / f"{number}.h5" for number in range(len(sizes))]
    return FeatureRows(list(map(stored, paths, parts))), np.concatenate(parts)


def ends(n_rows: int) -> st.SearchStrategy[int]:
    """Any row, and often one beside the end of a block."""
    near = st.builds(lambda block, by: block * ROWS + by, st.integers(0, 70), st.integers(-1, 2))
    return (st.integers(0, n_rows) | near).map(lambda at: min(max(at, 0), n_rows))


@settings(max_examples=150)
@given(data=st.data())
def test_any_rows_are_those_of_the_array(
    shards: tuple[FeatureRows, np.ndarray], data: st.DataObject
) -> None:
    rows, expected = shards
    start, stop = data.draw(ends(len(rows))), data.draw(ends(len(rows)))
    np.testing.assert_array_equal(rows[start:stop], expected[start:stop])
    scattered = data.draw(st.lists(st.integers(-len(rows), len(rows) - 1), max_size=60))
    np.testing.assert_array_equal(rows[scattered], expected[scattered])


def test_every_kind_of_index(shards: tuple[FeatureRows, np.ndarray]) -> None:
    rows, expected = shards
    n = len(expected)
    assert (rows.shape, rows.dtype, len(rows)) == (expected.shape, np.float16, n)
    mask = np.arange(n) % 7 == 0
    slices = (slice(None), slice(-5, None), slice(20, 10), slice(None, None, -3))
    for index in (*slices, [], [5, 5, 2], mask, -1, np.int64(4)):
        np.testing.assert_array_equal(rows[index], expected[index])
    assert rows[[]].shape == (0, DIM)
    for wrong in ([n], [0.5], [[1]], [True]):
        with pytest.raises(IndexError):
            rows[wrong]


@pytest.mark.parametrize(
    ("dim", "dtype"),
    [(768, np.float16), (512, np.float32), (9000, np.float16), (3, np.float32)],
)
def test_rows_of_every_width(tmp_path: Path, dim: int, dtype: type) -> None:
    rows = random_rows(700, dim, dtype)
    found = FeatureRows([stored(tmp_path / "a.h5", rows)])
    np.testing.assert_array_equal(found[3:], rows[3:])
    np.testing.assert_array_equal(found[::-2], rows[::-2])
    np.testing.assert_array_equal(found[[690, 7, 8, 690]], rows[[690, 7, 8, 690]])


def test_a_wrong_byte_is_found_in_its_block_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    part = stored(path, random_rows(10 * ROWS))
    rows = FeatureRows([part])
    content = bytearray(path.read_bytes())
    content[part.offset + 5 * BLOCK] ^= 1
    path.write_bytes(content)
    assert len(rows[: 5 * ROWS]) == 5 * ROWS
    assert len(rows[[0, 4 * ROWS, 6 * ROWS]]) == 3
    damage = rf"a\.h5 is damaged: rows {5 * ROWS} to {6 * ROWS - 1} do not match their checksum"
    for index in (slice(None), slice(5 * ROWS + 3, 5 * ROWS + 4), [0, 6 * ROWS - 1]):
        with pytest.raises(StoreError, match=damage):
            rows[index]
    path.unlink()
    with pytest.raises(StoreError, match="is missing"):
        rows[:1]
