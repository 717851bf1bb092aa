"""Arrays of every format, a part at a time; what cannot be used is one clear error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from sreclip.data.matrices.places import open_stored
from sreclip.data.matrices.stored import as_floats
from sreclip.errors import DataError

# Exact in all types, bfloat16 among them.
ROWS = np.arange(50 * 8, dtype="f4").reshape(50, 8) % 64
NAMES = [f"row {number}" for number in range(50)]


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["group/x"], file["labels"], file["names"] = ROWS, np.arange(50), NAMES


def lists(path: Path) -> None:
    table = pa.table({"x": list(ROWS), "labels": np.arange(50), "names": NAMES})
    pq.write_table(table, path, row_group_size=7)


def fixed(path: Path) -> None:
    column = pa.FixedSizeListArray.from_arrays(ROWS.astype("f2").ravel(), 8)
    pq.write_table(pa.table({"x": column}), path, row_group_size=50)


def numbered(path: Path) -> None:
    columns = {f"feature_{at}": ROWS[:, at] for at in (0, 1, 7, 2, 3, 4, 5, 6)}
    pq.write_table(pa.table({"filename": NAMES, **columns}), path, row_group_size=20)


FORMATS: dict[str, Callable[[Path], Any]] = {
    "plain.npy": lambda path: np.save(path, ROWS),
    "half.npy": lambda path: np.save(path, ROWS.astype("f2")),
    "big_endian_double.npy": lambda path: np.save(path, ROWS.astype(">f8")),
    "fortran.npy": lambda path: np.save(path, np.asfortranarray(ROWS)),
    "one.npz": lambda path: np.savez(path, x=ROWS, labels=np.arange(50)),
    "compressed.npz": lambda path: np.savez_compressed(path, x=ROWS),
    "a.h5": hdf5,
    "a.safetensors": lambda path: save_file({"x": ROWS, "labels": np.arange(50)}, path),
    "brain.safetensors": lambda path: save_torch({"x": torch.tensor(ROWS).bfloat16()}, path),
    "lists.parquet": lists,
    "fixed.parquet": fixed,
    "numbered.parquet": numbered,
    "tensor.pt": lambda path: torch.save(torch.tensor(ROWS), path),
    "brain.pt": lambda path: torch.save({"x": torch.tensor(ROWS).bfloat16()}, path),
    "old.pt": lambda path: torch.save(
        torch.tensor(ROWS), path, _use_new_zipfile_serialization=False
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_rows_of_every_format(tmp_path: Path, name: str) -> None:
    FORMATS[name](tmp_path / name)
    stored = open_stored(tmp_path, name, "matrix")
    assert stored.shape == (50, 8)
    for start, stop in ((0, 50), (10, 33), (6, 8), (49, 50)):
        part = as_floats(stored.part(start, stop))
        assert part.dtype.isnative
        assert np.array_equal(part, ROWS[start:stop])
    chunks = [as_floats(chunk) for chunk in stored.chunks(11)]
    assert max(map(len, chunks)) <= 11
    assert np.array_equal(np.concatenate(chunks), ROWS)


def test_an_array_is_named_after_a_colon(tmp_path: Path) -> None:
    hdf5(tmp_path / "a.h5")
    assert np.array_equal(open_stored(tmp_path, "a.h5:group/x", "matrix").part(0, 50), ROWS)
    assert open_stored(tmp_path, "a.h5:names", "column").part(1, 3).tolist() == NAMES[1:3]
    lists(tmp_path / "a.parquet")
    assert open_stored(tmp_path, "a.parquet:names", "column").part(8, 10).tolist() == NAMES[8:10]


def test_a_categorical_column_is_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"label": pd.Categorical(["cat", "dog", None, "cat"])})
    frame.to_parquet(tmp_path / "a.parquet")
    stored = open_stored(tmp_path, "a.parquet", "column")
    assert stored.part(0, 4).tolist() == ["cat", "dog", None, "cat"]


def test_parts_in_a_folder_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (0, 2, 10, 1):
        np.save(tmp_path / f"img_emb_{number}.npy", np.full((3, 4), number, "f2"))
    (tmp_path / "._img_emb_0.npy").write_bytes(b"left by a system")
    (tmp_path / "stats.json").write_text("{}")
    for place in (".", "*.npy"):
        stored = open_stored(tmp_path, place, "matrix")
        assert stored.shape == (12, 4)
        assert stored.part(2, 10)[:, 0].tolist() == [0, 1, 1, 1, 2, 2, 2, 10]


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["trap.npy", "trap.npz", "trap.pt", "old_trap.pt"])
def test_nothing_is_unpickled(tmp_path: Path, name: str) -> None:
    trap = Trap(tmp_path / "sprung")
    path = tmp_path / name
    if path.suffix == ".pt":
        torch.save(trap, path, _use_new_zipfile_serialization=not name.startswith("old"))
    elif path.suffix == ".npz":
        np.savez(path, x=np.array([trap], dtype=object), allow_pickle=True)
    else:
        np.save(path, np.array([trap], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="to unpickle runs code"):
        open_stored(tmp_path, name, "matrix")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("end", ["npy", "npz", "h5", "safetensors", "parquet", "pt"])
def test_a_damaged_file(tmp_path: Path, end: str) -> None:
    path = tmp_path / f"bad.{end}"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=f"bad.{end}"):
        open_stored(tmp_path, path.name, "matrix")


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-5])
    with pytest.raises(DataError, match="cut off: 1723 bytes of at least 1728"):
        open_stored(tmp_path, "a.npy", "matrix")


def test_features_of_two_models_in_one_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "img_emb_0.npy", np.ones((3, 512), "f2"))
    np.save(tmp_path / "img_emb_1.npy", np.ones((3, 768), "f2"))
    with pytest.raises(DataError, match=r"img_emb_0.npy and .*img_emb_1.npy do not belong"):
        open_stored(tmp_path, ".", "matrix")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nothing.npy", "there is no such file"),
        ("a.h5:y", "no array 'y'; it has: 'group/x', 'labels', 'names'"),
        ("two.npz", "several arrays: x .2 x 2 of type float64., y"),
        ("labels.npy", "no matrix of features: 5 of type int64"),
        ("a.csv", "no format of arrays"),
        ("uneven.parquet", "not every row has 2 numbers"),
    ],
)
def test_refuses_and_says_why(tmp_path: Path, place: str, message: str) -> None:
    hdf5(tmp_path / "a.h5")
    np.savez(tmp_path / "two.npz", x=np.ones((2, 2)), y=np.ones((3, 3)))
    np.save(tmp_path / "labels.npy", np.arange(5))
    (tmp_path / "a.csv").write_text("1,2\n")
    pq.write_table(pa.table({"x": [[1.0, 2.0], [1.0]]}), tmp_path / "uneven.parquet")
    with pytest.raises(DataError, match=message):
        open_stored(tmp_path, place, "matrix").part(0, 2)
