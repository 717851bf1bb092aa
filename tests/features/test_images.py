"""Shards: what is written is read, as one table per domain, or an error says what is wrong."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sreclip.errors import StoreError
from sreclip.features import images as images_module
from sreclip.features.header import Provenance
from sreclip.features.images import Reject, open_images, write_images
from sreclip.features.inspect import describe
from sreclip.features.verify import verify_file

DIM = 512
MADE_WITH = Provenance("fake", "ab" * 32, "random", "8 x 8", "float32", "float16", 50.0, DIM)


def unit_rows(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def write(
    out: Path,
    count: int = 600,
    *,
    first: int = 0,
    bad: tuple[int, ...] = (),
    made_with: Provenance = MADE_WITH,
    rows_key: str = "rows",
    domain: str = "source",
) -> np.ndarray:
    """Write a shard with row ids from ``first`` on and return its features."""
    features = unit_rows(count, seed=first).astype(made_with.dtype)
    features[list(bad)] = 0
    rejects = [Reject(first + at, f"p{at}", "broken") for at in bad]
    row_id = np.arange(first, first + count)
    write_images(out, made_with, row_id, features, rejects, rows_key=rows_key, domain=domain)
    return features


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def shards(folder: Path, sizes: tuple[int, ...] = (300, 1, 299)) -> tuple[list[Path], np.ndarray]:
    paths, parts, first = [], [], 0
    for number, size in enumerate(sizes):
        paths.append(folder / f"{number}.h5")
        bad = (2,) if size > 2 else ()
        parts.append(write(paths[-1], size, first=first, bad=bad, rows_key=f"rows{number}"))
        first += size
    return paths, np.concatenate(parts)


def test_same_inputs_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", bad=(5,))
    time.sleep(1.1)
    write(tmp_path / "b.h5", bad=(5,))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_shards_are_read_as_one_table(tmp_path: Path) -> None:
    paths, features = shards(tmp_path)
    keys = ["rows0", "rows1", "rows2"]
    images = open_images(paths, {"domain": "source", "backbone": "fake"}, keys)
    assert len(images) == 600
    assert asdict(MADE_WITH).items() <= asdict(images.header).items()
    np.testing.assert_array_equal(images.features[:], features)
    np.testing.assert_array_equal(images.features[[599, 300, 0]], features[[599, 300, 0]])
    assert images.row_id.tolist() == list(range(600))
    assert np.flatnonzero(~images.ok).tolist() == [2, 303]
    assert images.rejects == [Reject(2, "p2", "broken"), Reject(303, "p2", "broken")]


def test_float16_rounding_of_unit_rows() -> None:
    rows = unit_rows(2000)
    stored = rows.astype(np.float16).astype(np.float32)
    assert abs(np.linalg.norm(stored, axis=1) - 1).max() < 5e-4
    assert abs(stored @ stored.T - rows @ rows.T).max() < 2e-4


def test_plain_hdf5_reads_it(tmp_path: Path) -> None:
    features = write(tmp_path / "a.h5", 20, bad=(3,))
    with h5py.File(tmp_path / "a.h5") as file:
        about = {
            "kind": "images",
            "backbone": "fake",
            "dim": DIM,
            "logit_scale": 50.0,
            "domain": "source",
            "key": MADE_WITH.file_key("images", "rows"),
        }
        assert about.items() <= dict(file.attrs).items()
        assert "numpy" in json.loads(file.attrs["versions"])
        assert file["features"].chunks is None
        np.testing.assert_array_equal(file["features"][:], features)
        assert json.loads(file["rejects"][:].tobytes())[0]["path"] == "p3"


def test_no_flipped_byte_passes_as_other_content(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    features = write(path, 40, bad=(7,))
    whole = path.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(whole), size=150).tolist():
        flip(path, at)
        with pytest.raises(StoreError, match=r"a\.h5 is damaged"):
            verify_file(path)
        try:
            images = open_images([path])
            np.testing.assert_array_equal(images.features[:], features)
            assert np.flatnonzero(~images.ok).tolist() == [7]
        except StoreError as error:
            assert str(path) in str(error)
        path.write_bytes(whole)


def test_damage_and_missing_shards_are_named(tmp_path: Path) -> None:
    paths, features = shards(tmp_path)
    flip(paths[2], paths[2].read_bytes().index(features[500].tobytes()))
    images = open_images(paths)
    assert len(images.features[:300]) == 300
    with pytest.raises(StoreError, match=r"2\.h5 is damaged: rows .* do not match") as caught:
        images.features[490:510]
    assert "extract_features" in caught.value.hint
    paths[1].unlink()
    with pytest.raises(StoreError, match=r"1\.h5 is missing"):
        images.features[298:303]
    with pytest.raises(StoreError, match=r"1\.h5 is missing") as caught:
        open_images(paths)
    assert "extract_features" in caught.value.hint


def test_the_key_follows_what_decides_the_numbers() -> None:
    key = MADE_WITH.file_key("images", "rows")
    keyed = ("backbone", "weights_sha256", "network", "preprocessing", "precision", "dtype")
    changed = {replace(MADE_WITH, **{name: "x"}).file_key("images", "rows") for name in keyed}
    changed |= {MADE_WITH.file_key("images", "r"), MADE_WITH.file_key("text", "rows")}
    assert len(changed | {key}) == len(keyed) + 3
    assert replace(MADE_WITH, logit_scale=1.0).file_key("images", "rows") == key


def test_what_was_made_from_something_else_is_refused(tmp_path: Path) -> None:
    paths, _ = shards(tmp_path)
    with pytest.raises(StoreError, match="domain is 'source', expected 'target'") as caught:
        open_images(paths, {"domain": "target"})
    assert "extract-images" in caught.value.hint
    with pytest.raises(StoreError, match=r"1\.h5: rows_key is 'rows1', expected 'rows2'"):
        open_images(paths, rows_keys=["rows0", "rows2", "rows1"])


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "mini"},
        {"weights_sha256": "cd" * 32},
        {"network": "other"},
        {"preprocessing": "9 x 9"},
        {"precision": "bfloat16"},
        {"dtype": "float32"},
        {"domain": "target"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_unlike_shards_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    (name,) = change
    write(paths[0], 20)
    domain = change.pop("domain", "source")
    write(paths[1], 20, first=20, made_with=replace(MADE_WITH, **change), domain=domain)
    with pytest.raises(StoreError, match=rf"a\.h5 and .*b\.h5 do not belong together: {name} is"):
        open_images(paths)


def test_a_row_that_appears_twice_is_refused(tmp_path: Path) -> None:
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    write(paths[0], 20)
    shutil.copy(*paths)
    with pytest.raises(StoreError, match=r"row_id 0 appears twice, in .*a\.h5 and .*b\.h5"):
        open_images(paths)


def test_rows_that_cannot_be_features_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.h5"

    def attempt(row: float, rejects: list[Reject]) -> None:
        rows = unit_rows(3).astype(np.float16)
        rows[1] = row
        ids = np.arange(10, 13)
        write_images(path, MADE_WITH, ids, rows, rejects, rows_key="r", domain="source")

    reject = Reject(11, "p", "broken")
    for row, rejects, message in (
        (np.nan, [], "row_id 11 is not finite"),
        (0.5, [], "row_id 11 is not of unit length"),
        (0.5, [reject], "row_id 11 belongs to a rejected image but is not zero"),
    ):
        with pytest.raises(StoreError, match=message):
            attempt(row, rejects)
    assert list(tmp_path.iterdir()) == []
    # verify_file checks the rows as well, whoever wrote them.
    monkeypatch.setattr("sreclip.features.images.check_rows", lambda *_: None)
    attempt(np.nan, [])
    monkeypatch.undo()
    with pytest.raises(StoreError, match="row_id 11 is not finite"):
        verify_file(path)


def test_a_shard_of_an_earlier_version_has_no_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = images_module.add_data
    monkeypatch.setattr(
        images_module,
        "add_data",
        lambda file, columns: real(file, {k: v for k, v in columns.items() if k != "notes"}),
    )
    write(tmp_path / "a.h5", 3)
    assert open_images([tmp_path / "a.h5"]).notes == {}
    assert describe(tmp_path / "a.h5")["notes"] == {}
