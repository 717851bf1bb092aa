"""Stored similarities are read back to the bit; what is damaged is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sreclip.errors import DamagedError, StoreError
from sreclip.graph.similarity import read_similarity, write_similarity
from sreclip.plan.results import Result


def result_in(folder: Path, key: str = "key") -> Result:
    return Result("graph", folder, key, (), ("graph.json", "similarity.h5"))


def symmetric(values: np.ndarray) -> np.ndarray:
    return (np.triu(values) + np.triu(values, 1).T).astype(np.float32)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype == np.float32 and a.tobytes() == b.tobytes() and a.shape == b.shape


@given(
    st.integers(1, 7).flatmap(
        lambda n: arrays(np.float32, (n, n), elements=st.floats(-2, 2, width=32))
    )
)
def test_similarities_are_read_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray
) -> None:
    folder = tmp_path_factory.mktemp("graph")
    matrix = symmetric(values)
    write_similarity(result_in(folder), matrix)
    assert same_bits(read_similarity(result_in(folder)), matrix)


def test_a_large_matrix_with_classes_without_a_sense(tmp_path: Path) -> None:
    n = 700  # several chunks
    matrix = symmetric(np.random.default_rng(0).integers(0, 300, size=(n, n)) / 300)
    matrix[2] = matrix[:, 2] = np.nan
    path = tmp_path / "similarity.h5"
    write_similarity(result_in(tmp_path), matrix)
    assert same_bits(read_similarity(result_in(tmp_path)), matrix)
    assert path.stat().st_size < 0.4 * matrix.nbytes
    with h5py.File(path) as file:
        assert same_bits(file["similarity"][:], np.triu(matrix))


def test_similarities_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "similarity.h5"
    with pytest.raises(StoreError, match="is missing") as caught:
        read_similarity(result_in(tmp_path))
    assert caught.value.hint == "run: snakemake --cores all graph"
    write_similarity(result_in(tmp_path), np.eye(3, dtype=np.float32))
    with pytest.raises(StoreError, match="something else"):
        read_similarity(result_in(tmp_path, "other"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedError, match="damaged"):
        read_similarity(result_in(tmp_path))
