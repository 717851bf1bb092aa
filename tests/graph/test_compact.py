"""Similarities come back to the bit, in few bytes; what is damaged is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sreclip.errors import DamagedError, StoreError
from sreclip.graph.build import read_similarity
from sreclip.graph.compact import pack, unpack


def symmetric(values: np.ndarray) -> np.ndarray:
    upper = np.triu(values)
    return (upper + np.triu(values, 1).T).astype(np.float32)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype == np.float32 and a.tobytes() == b.tobytes() and a.shape == b.shape


@given(
    st.integers(0, 7).flatmap(
        lambda n: arrays(np.float32, (n, n), elements=st.floats(-2, 2, width=32))
    )
)
def test_round_trip(values: np.ndarray) -> None:
    matrix = symmetric(values)
    assert same_bits(unpack(pack(matrix)), matrix)


@pytest.mark.parametrize(
    ("distinct", "kind"), [(256, np.uint8), (257, np.uint16), (65_536, np.uint16)]
)
def test_codes_are_as_short_as_the_values_allow(distinct: int, kind: Any) -> None:
    n = 363
    at = np.random.default_rng(0).permutation(n * (n + 1) // 2) % distinct
    matrix = np.zeros((n, n), dtype=np.float32)
    matrix[np.triu_indices(n)] = at / distinct
    matrix = symmetric(matrix)
    packed = pack(matrix)
    assert packed["codes"].dtype == kind
    assert len(packed["table"]) == distinct
    assert packed["codes"].size == n * (n + 1) // 2
    assert same_bits(unpack(packed), matrix)


def test_many_values_are_kept_as_they_are() -> None:
    matrix = symmetric(np.random.default_rng(0).random((400, 400)))
    packed = pack(matrix)
    assert list(packed) == ["values"]
    assert same_bits(unpack(packed), matrix)


def test_classes_without_a_sense_stay_nan() -> None:
    matrix = np.eye(4, dtype=np.float32)
    matrix[2] = matrix[:, 2] = np.nan
    packed = pack(matrix)
    assert len(packed["table"]) == 3
    assert same_bits(unpack(packed), matrix)


def test_what_is_not_symmetric_is_refused() -> None:
    with pytest.raises(ValueError, match="row 0"):
        pack(np.array([[1, 0.5], [0.25, 1]], dtype=np.float32))


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        ({}, "nothing"),
        ({"wordnet": np.eye(2, dtype=np.float32)}, "wordnet"),
        ({"values": np.zeros(5, np.float32)}, "5 numbers"),
        ({"values": np.zeros(3)}, "values"),
        ({"codes": np.array([0, 1, 0], np.uint8), "table": np.zeros(1, np.float32)}, "code 1"),
        ({"codes": np.zeros(3, np.int64), "table": np.zeros(1, np.float32)}, "int64"),
    ],
)
def test_what_pack_does_not_give_is_refused(packed: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        unpack(packed)


@dataclass(frozen=True)
class FakePlan:
    """As much of a plan as the reader looks at."""

    graph_dir: Path
    graph_key: str = "key"


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    from safetensors.numpy import save_file

    packed = pack(np.eye(3, dtype=np.float32))
    save_file(packed, tmp_path / "similarity.safetensors", metadata={"key": "key"})
    return FakePlan(tmp_path)


def test_the_file_is_read_back(plan: Any) -> None:
    assert same_bits(read_similarity(plan), np.eye(3, dtype=np.float32))
    with pytest.raises(StoreError, match="something else"):
        read_similarity(FakePlan(plan.graph_dir, "other"))  # type: ignore[arg-type]


def test_a_damaged_file_is_named(plan: Any) -> None:
    path = plan.graph_dir / "similarity.safetensors"
    content = path.read_bytes()
    for damaged in (content[:-1], content[:-4] + b"\xff\xff\xff\xff\x00"):
        path.write_bytes(damaged)
        with pytest.raises(DamagedError, match="damaged"):
            read_similarity(plan)
    path.unlink()
    with pytest.raises(StoreError, match="missing"):
        read_similarity(plan)
