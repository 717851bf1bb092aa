"""The files themselves: bytes, damage, keys, scattered reads, the virtual join."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import xxhash

from sreclip.errors import StoreError
from sreclip.features import writer as writer_module
from sreclip.features.checks import Reject
from sreclip.features.header import Provenance, joined_rows_key
from sreclip.features.rows import checksums
from sreclip.features.store import join_shards, open_images, verify_file
from sreclip.features.writer import image_writer

DIM = 512
MADE_WITH = Provenance("fake", "ab" * 32, "8 x 8", "float32", "float16", 50.0, DIM)


def unit_rows(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def write(
    out: Path,
    count: int = 600,
    *,
    step: int = 100,
    first: int = 0,
    bad: tuple[int, ...] = (),
    made_with: Provenance = MADE_WITH,
    rows_key: str = "rows",
) -> np.ndarray:
    """Write a shard with row ids from ``first`` on and give its features."""
    features = unit_rows(count, seed=first)
    ok = ~np.isin(np.arange(count), bad)
    features[~ok] = 0
    row_id = np.arange(first, first + count)
    with image_writer(out, row_id, made_with, rows_key=rows_key, domain="source") as shard:
        for start in range(0, count, step):
            part = slice(start, start + step)
            rejects = [
                Reject(first + at, f"p{at}", "broken") for at in bad if start <= at < start + step
            ]
            shard.append(features[part], ok[part], rejects)
    return features


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def test_same_inputs_same_bytes_whatever_the_batches(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", step=100)
    time.sleep(1.1)
    write(tmp_path / "b.h5", step=37)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_reads_back_rows_in_every_way(tmp_path: Path) -> None:
    features = write(tmp_path / "a.h5", bad=(3, 411)).astype(np.float16)
    with open_images(tmp_path / "a.h5") as images:
        rows = images.features
        assert len(images) == len(rows) == 600
        assert rows.shape == (600, DIM)
        assert rows.dtype == np.float16
        scattered = np.random.default_rng(1).integers(-600, 600, size=900)
        mask = np.arange(600) % 7 == 0
        for index in (
            slice(None),
            slice(10, 20),
            slice(-5, None),
            slice(20, 10),
            slice(None, None, -3),
            scattered,
            [],
            [5, 5, 2],
            mask,
            -1,
            np.int64(4),
        ):
            np.testing.assert_array_equal(rows[index], features[index])
        assert images.row_id.tolist() == list(range(600))
        assert np.flatnonzero(~images.ok).tolist() == [3, 411]
        assert [reject.row_id for reject in images.rejects] == [3, 411]
        assert images.positions([411, 0]).tolist() == [411, 0]
        with pytest.raises(StoreError, match="no row with row_id 777"):
            images.positions([1, 777])
        assert rows[[]].shape == (0, DIM)
        for wrong in ([600], [0.5], [[1]], [True]):
            with pytest.raises(IndexError):
                rows[wrong]


def test_float16_rounding_of_unit_rows() -> None:
    rows = unit_rows(2000)
    stored = rows.astype(np.float16).astype(np.float32)
    assert abs(np.linalg.norm(stored, axis=1) - 1).max() < 5e-4
    assert abs(stored @ stored.T - rows @ rows.T).max() < 2e-4


def test_plain_hdf5_reads_it(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 20)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["backbone"] == b"fake"
        assert file.attrs["dim"] == DIM
        features = file["features"]
        assert features.chunks is None
        assert file["features_xxh3"][:].tolist() == [
            xxhash.xxh3_64_intdigest(features[:16].tobytes()),
            xxhash.xxh3_64_intdigest(features[16:].tobytes()),
        ]


def test_a_flipped_byte_in_the_data_is_found_by_reader_and_verify(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    features = write(path)
    at = path.read_bytes().index(features.astype(np.float16)[300].tobytes())
    flip(path, at + 77)
    with open_images(path) as images:
        assert len(images.features[:10]) == 10
        with pytest.raises(StoreError, match=r"a\.h5 is damaged: rows .* do not match") as caught:
            images.features[299:302]
        assert "extract_features" in caught.value.hint
        with pytest.raises(StoreError, match="checksum"):
            images.features[[5, 300]]
    with pytest.raises(StoreError, match=r"a\.h5 is damaged"):
        verify_file(path)


def test_no_flipped_byte_passes_as_other_content(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    features = write(path, 40, bad=(7,)).astype(np.float16)
    whole = path.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(whole), size=150):
        flip(path, int(at))
        with pytest.raises(StoreError, match=r"a\.h5"):
            verify_file(path)
        try:
            with open_images(path) as images:
                np.testing.assert_array_equal(images.features[:], features)
        except StoreError as error:
            assert str(path) in str(error)
        path.write_bytes(whole)


def test_any_flipped_byte_of_a_joined_file_is_found_when_it_is_opened(tmp_path: Path) -> None:
    paths, _ = shards(tmp_path)
    joined = tmp_path / "joined.h5"
    join_shards(joined, paths)
    whole = joined.read_bytes()
    for at in range(0, len(whole), 97):
        flip(joined, at)
        with pytest.raises(StoreError, match=r"joined\.h5"):
            open_images(joined)
        joined.write_bytes(whole)


@pytest.mark.parametrize("keep", [0.95, 0.5, 0.01, 0.0])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "a.h5"
    write(path)
    os.truncate(path, int(path.stat().st_size * keep))
    for read in (open_images, verify_file):
        with pytest.raises(StoreError, match=r"a\.h5") as caught:
            read(path)
        assert "delete it and run" in caught.value.hint


def test_what_is_not_a_feature_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with pytest.raises(StoreError, match="is missing"):
        open_images(path)
    path.write_text("hello")
    with pytest.raises(StoreError, match="is not an HDF5 file"):
        open_images(path)
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(StoreError, match="is not a feature file"):
        open_images(path)
    with pytest.raises(StoreError, match="cannot be read"):
        open_images(tmp_path)


def test_the_key_follows_what_decides_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write(path, 20)
    key = MADE_WITH.file_key("images", "rows")
    with open_images(path, {"key": key, "rows_key": "rows", "backbone": "fake"}) as images:
        assert images.header.provenance == MADE_WITH
    with pytest.raises(StoreError, match=f"key is '{key}', expected 'other'") as caught:
        open_images(path, {"key": "other"})
    assert "extract-images" in caught.value.hint
    fields = {"backbone", "weights_sha256", "preprocessing", "precision", "dtype"}
    changed = {
        Provenance(**{**MADE_WITH.__dict__, name: "x"}).file_key("images", "rows")
        for name in fields
    }
    changed |= {
        MADE_WITH.file_key("images", "r"),
        MADE_WITH.file_key("text", "rows"),
        MADE_WITH.file_key("images", "rows", 99),
    }
    assert len(changed | {key}) == len(fields) + 4


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("backbone", b"mini", "attributes do not match"),
        ("logit_scale", 100.0, "attributes do not match"),
        ("format_version", 1, "format version 1"),
        ("format", b"other", "not a feature file"),
    ],
)
def test_an_edited_attribute_is_found(
    tmp_path: Path, name: str, value: object, message: str
) -> None:
    path = tmp_path / "a.h5"
    write(path, 20)
    with h5py.File(path, "a") as file:
        file.attrs[name] = value
    with pytest.raises(StoreError, match=message):
        open_images(path)


def test_nan_rows_are_refused_by_writer_and_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    rows = unit_rows(3)
    for row, message in ((np.nan, "row_id 11 is not finite"), (0.5, "row_id 11 is not of unit")):
        rows[1] = row
        with (
            pytest.raises(StoreError, match=message),
            image_writer(path, np.arange(10, 13), MADE_WITH, rows_key="r", domain="s") as shard,
        ):
            shard.append(rows, np.ones(3, dtype=bool))
    assert list(tmp_path.iterdir()) == []
    write(path, 20)
    with h5py.File(path, "a") as file:
        file["features"][5] = np.nan
    with open_images(path) as images, pytest.raises(StoreError, match="do not match their check"):
        images.features[:]
    with h5py.File(path, "a") as file:
        file["features_xxh3"][:] = checksums(file["features"][:])
    with pytest.raises(StoreError, match="row_id 5 is not finite"):
        verify_file(path)


def test_a_full_disk_stops_with_a_word_and_leaves_nothing(small_disk: Path) -> None:
    with pytest.raises(StoreError, match="the disk is full"):
        write(small_disk / "a.h5", 5000)
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("good_writes", [0, 1, 3, 8])
def test_a_write_error_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good_writes: int
) -> None:
    class Filling:
        def __init__(self, file: io.FileIO) -> None:
            self.file, self.left = file, good_writes

        def write(self, data: memoryview) -> int:
            if not self.left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.left -= 1
            return self.file.write(data)

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    class FullDisk(writer_module._Disk):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self._file = Filling(self._file)

    monkeypatch.setattr(writer_module, "_Disk", FullDisk)
    with pytest.raises(StoreError, match="the disk is full"):
        write(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder_stops_with_a_word(small_disk: Path) -> None:
    write(small_disk / "a.h5", 20)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreError, match="the folder cannot be written"):
        write(small_disk / "b.h5", 20)
    with open_images(small_disk / "a.h5") as images:
        assert len(images) == 20


def test_what_does_not_read_back_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = writer_module.verify_file

    def decay(path: Path, **settings: bool) -> object:
        flip(path, path.stat().st_size // 2)
        return real(path, **settings)

    monkeypatch.setattr(writer_module, "verify_file", decay)
    with pytest.raises(StoreError, match=r"a\.h5: reading the new file back failed"):
        write(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


# The joined file


def shards(folder: Path, sizes: tuple[int, ...] = (300, 1, 299)) -> tuple[list[Path], np.ndarray]:
    paths, parts, first = [], [], 0
    for number, size in enumerate(sizes):
        paths.append(folder / f"{number} 50%b.h5")
        bad = (2,) if size > 2 else ()
        parts.append(write(paths[-1], size, first=first, bad=bad, rows_key=f"rows{number}"))
        first += size
    return paths, np.concatenate(parts).astype(np.float16)


def test_a_joined_file_shows_its_shards_wherever_the_tree_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, features = shards(tmp_path / "here" / "images")
    header = join_shards(tmp_path / "here" / "joined" / "source.h5", paths)
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    joined = Path("joined/source.h5")
    assert joined.stat().st_size < 20_000
    assert verify_file(joined) == header
    keys = [MADE_WITH.file_key("images", f"rows{number}") for number in range(3)]
    expected = {"key": MADE_WITH.file_key("joined", joined_rows_key(keys)), "domain": "source"}
    with open_images(joined, expected) as images:
        np.testing.assert_array_equal(images.features[:], features)
        np.testing.assert_array_equal(images.features[[599, 300, 0]], features[[599, 300, 0]])
        assert images.row_id.tolist() == list(range(600))
        assert [reject.row_id for reject in images.rejects] == [2, 303]
        assert np.flatnonzero(~images.ok).tolist() == [2, 303]
    with h5py.File(joined) as file:
        np.testing.assert_array_equal(file["features"][290:310], features[290:310])


def test_joining_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    paths, _ = shards(tmp_path)
    join_shards(tmp_path / "a.h5", paths)
    first = (tmp_path / "a.h5").read_bytes()
    time.sleep(1.1)
    join_shards(tmp_path / "a.h5", paths)
    assert (tmp_path / "a.h5").read_bytes() == first


def test_a_missing_or_other_shard_does_not_read_as_zeros(tmp_path: Path) -> None:
    paths, _ = shards(tmp_path)
    joined = tmp_path / "joined.h5"
    join_shards(joined, paths)
    with open_images(joined) as images:
        paths[1].unlink()
        with pytest.raises(StoreError, match=r"1 50%b\.h5 is missing"):
            images.features[298:303]
    for read in (open_images, verify_file):
        with pytest.raises(StoreError, match=r"1 50%b\.h5 is missing") as caught:
            read(joined)
        assert "extract_features" in caught.value.hint
    write(paths[1], 1, first=300, rows_key="others")
    with pytest.raises(StoreError, match=r"is not the shard that .*joined\.h5 joins"):
        open_images(joined)


def test_damage_in_a_shard_is_named_through_the_join(tmp_path: Path) -> None:
    paths, features = shards(tmp_path)
    joined = tmp_path / "joined.h5"
    join_shards(joined, paths)
    flip(paths[2], paths[2].read_bytes().index(features[500].tobytes()))
    with open_images(joined) as images:
        assert len(images.features[:300]) == 300
        with pytest.raises(StoreError, match=r"2 50%b\.h5 is damaged"):
            images.features[490:510]
    with pytest.raises(StoreError, match=r"2 50%b\.h5 is damaged"):
        verify_file(joined)


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "mini"},
        {"weights_sha256": "cd" * 32},
        {"preprocessing": "9 x 9"},
        {"precision": "bfloat16"},
        {"dtype": "float32"},
    ],
)
def test_unlike_shards_are_not_joined(tmp_path: Path, change: dict[str, str]) -> None:
    write(tmp_path / "a.h5", 20)
    other = Provenance(**{**MADE_WITH.__dict__, **change})
    name = next(iter(change))
    write(tmp_path / "b.h5", 20, first=20, made_with=other)
    with pytest.raises(StoreError, match=rf"a\.h5 and .*b\.h5 cannot be joined: {name} is"):
        join_shards(tmp_path / "joined.h5", [tmp_path / "a.h5", tmp_path / "b.h5"])


def test_a_row_twice_or_no_shard_is_not_joined(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 20)
    shutil.copy(tmp_path / "a.h5", tmp_path / "b.h5")
    with pytest.raises(StoreError, match=r"row_id 0 stands in .*a\.h5 and in .*b\.h5"):
        join_shards(tmp_path / "joined.h5", [tmp_path / "a.h5", tmp_path / "b.h5"])
    with pytest.raises(StoreError, match="no shards"):
        join_shards(tmp_path / "joined.h5", [])
    with pytest.raises(StoreError, match=r"c\.h5 is missing"):
        join_shards(tmp_path / "joined.h5", [tmp_path / "c.h5"])
    assert not (tmp_path / "joined.h5").exists()
