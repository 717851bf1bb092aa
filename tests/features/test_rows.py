"""Rows of shards of every size, read in every way, as numpy reads the same array."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sreclip.errors import StoreError
from sreclip.features.rows import PORTION, StoredRows, block_rows, checksums
from sreclip.features.store import FeatureRows

DIM = 512
BLOCK = block_rows(np.dtype(np.float16), DIM)


def stored(path: Path, rows: np.ndarray) -> StoredRows:
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("features", data=rows)
        file.create_dataset("features_xxh3", data=checksums(rows))
    with h5py.File(path) as file:
        return StoredRows.of(file, path)


def random_rows(n_rows: int, dim: int = DIM, dtype: type = np.float16) -> np.ndarray:
    return np.random.default_rng(n_rows).random((n_rows, dim), np.float32).astype(dtype)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureRows, np.ndarray]:
    """Shards that end in a block, at its end, and beyond a portion."""
    sizes = (1, BLOCK, 2 * PORTION * BLOCK + 5, BLOCK - 1, PORTION * BLOCK, 3 * BLOCK)
    folder = tmp_path_factory.mktemp("shards")
    parts = [random_rows(size) for size in sizes]
    paths = [folder / f"{number}.h5" for number in range(len(sizes))]
    return FeatureRows(list(map(stored, paths, parts))), np.concatenate(parts)


def ends(n_rows: int) -> st.SearchStrategy[int]:
    """Any row, and often one beside the end of a block."""
    near = st.builds(lambda block, by: block * BLOCK + by, st.integers(0, 70), st.integers(-1, 2))
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


@pytest.mark.parametrize(
    ("dim", "dtype", "block"),
    [(768, np.float16, 10), (512, np.float32, 8), (9000, np.float16, 1), (3, np.float32, 1365)],
)
def test_blocks_of_every_width(tmp_path: Path, dim: int, dtype: type, block: int) -> None:
    rows = random_rows(2 * PORTION * min(block, 20) + 1, dim, dtype)
    part = stored(tmp_path / "a.h5", rows)
    assert part.block == block
    assert len(part.checksums) == -(-len(rows) // block)
    np.testing.assert_array_equal(FeatureRows([part])[3:], rows[3:])
    np.testing.assert_array_equal(FeatureRows([part])[::-2], rows[::-2])


def test_a_wrong_byte_is_found_in_its_block_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    part = stored(path, random_rows(10 * BLOCK))
    rows = FeatureRows([part])
    content = bytearray(path.read_bytes())
    content[part.offset + 5 * BLOCK * DIM * 2] ^= 1
    path.write_bytes(content)
    assert len(rows[: 5 * BLOCK]) == 5 * BLOCK
    assert len(rows[[0, 4 * BLOCK, 6 * BLOCK]]) == 3
    damage = f"rows {5 * BLOCK} to {6 * BLOCK - 1} do not match their checksum"
    for index in (slice(None), slice(5 * BLOCK + 3, 5 * BLOCK + 4), [0, 6 * BLOCK - 1]):
        with pytest.raises(StoreError, match=damage):
            rows[index]


def test_what_happens_to_an_open_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    rows = FeatureRows([stored(path, random_rows(10 * BLOCK))])
    path.write_bytes(path.read_bytes()[: 6 * BLOCK * DIM * 2])
    with pytest.raises(StoreError, match="shorter than it was"):
        rows[:]
    with pytest.raises(StoreError, match="shorter than it was"):
        rows[[-1]]
    path.unlink()
    with pytest.raises(StoreError, match="is missing"):
        rows[:1]


def test_other_layouts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    rows = random_rows(2 * BLOCK)
    for chunks, count, message in ((None, 1, "1 checksums for 2"), ((8, DIM), 2, "not one run")):
        with h5py.File(path, "w") as file:
            file.create_dataset("features", data=rows, chunks=chunks)
            file.create_dataset("features_xxh3", data=checksums(rows)[:count])
        with h5py.File(path) as file, pytest.raises(StoreError, match=message):
            StoredRows.of(file, path)
