"""Sealed files: nothing but what was written is ever read from one."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from sreclip.errors import DamagedError, StoreError
from sreclip.sealed import BLOCK, PORTION, Reader, Seal, new_sealed, open_sealed

CONTENT = {
    "features": np.random.default_rng(0).random((300, 512), np.float32).astype(np.float16),
    "row_id": np.arange(300),
    "codes": np.arange(40_000, dtype=np.float32).reshape(200, 200) // 100,
}


def write(path: Path) -> Path:
    """A file with small, large and compressed data, and attributes."""
    with new_sealed(path, "images") as file:
        file.attrs.update(key="0123456789ab", logit_scale=50.0, empty="", names="a" * 5000)
        for name in ("features", "row_id"):
            file.create_dataset(name, data=CONTENT[name], track_times=False)
        file.create_dataset(
            "codes",
            data=CONTENT["codes"],
            chunks=(20, 200),
            compression="gzip",
            shuffle=True,
            track_times=False,
        )
    return path


def read(path: Path) -> dict[str, Any]:
    with open_sealed(path, "images").hdf5() as file:
        assert set(file.attrs) == {"key", "logit_scale", "empty", "names"}
        return {name: file[name][:] for name in file} | dict(file.attrs)


def same(found: dict[str, Any]) -> bool:
    return all(np.array_equal(found[name], values) for name, values in CONTENT.items()) and (
        found["key"],
        found["logit_scale"],
        found["names"],
    ) == ("0123456789ab", 50.0, "a" * 5000)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sealed") / "a.h5")


def test_what_is_written_is_read_by_us_and_by_plain_hdf5(sealed: Path) -> None:
    assert same(read(sealed))
    open_sealed(sealed).verify()
    with h5py.File(sealed) as file:
        assert same({name: file[name][:] for name in file} | dict(file.attrs))
        assert file["features"].chunks is None
        assert file["features"].id.get_offset() % BLOCK == 0


def test_the_layout_is_the_documented_one(sealed: Path) -> None:
    content = sealed.read_bytes()
    assert content.endswith(b"SRECLIP\x1a")
    size = int.from_bytes(content[-24:-16], "little")
    assert content[-40:-28].rstrip(b"\0") == b"images"
    first = xxhash.xxh3_64_digest(content[:BLOCK])
    assert content[size : size + 8] == first
    assert content[-16:-8] == xxhash.xxh3_64_digest(content[size:-16])


def test_same_content_same_bytes(tmp_path: Path, sealed: Path) -> None:
    time.sleep(1.1)  # HDF5 could store times, in seconds
    assert write(tmp_path / "b.h5").read_bytes() == sealed.read_bytes()


def test_every_flipped_bit_is_found(tmp_path: Path, sealed: Path) -> None:
    whole = sealed.read_bytes()
    path = tmp_path / "a.h5"
    random = np.random.default_rng(0)
    places = random.integers(0, len(whole), size=400).tolist()
    places += random.integers(0, 4096, size=150).tolist()
    places += range(len(whole) - 250, len(whole))
    found_by_reading = 0
    for at in places:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"a\.h5"):
            open_sealed(path, "images").verify()
        try:
            assert same(read(path))
        except StoreError as error:
            found_by_reading += 1
            assert str(path) in str(error)
    # Only what no data set holds, such as padding, is left to verify().
    assert found_by_reading > 0.8 * len(places)


def test_every_other_length_is_found(tmp_path: Path, sealed: Path) -> None:
    whole = sealed.read_bytes()
    path = tmp_path / "a.h5"
    lengths = {*range(0, 100), *range(len(whole) - 100, len(whole))}
    lengths |= set(np.random.default_rng(1).integers(0, len(whole), size=100).tolist())
    for content in [*(whole[:length] for length in sorted(lengths)), whole + b"\0", whole * 2]:
        path.write_bytes(content)
        with pytest.raises(DamagedError, match=r"a\.h5 is damaged") as caught:
            open_sealed(path, "images")
        assert "delete it and run: snakemake --cores all extract_features" in caught.value.hint
    # The end alone, behind other bytes.
    path.write_bytes(whole[:1000] + whole[2000:])
    with pytest.raises(DamagedError, match="its size"):
        open_sealed(path)


def test_what_is_not_a_sealed_file_is_refused(tmp_path: Path, sealed: Path) -> None:
    path = tmp_path / "a.h5"
    with pytest.raises(StoreError, match="is missing") as caught:
        open_sealed(path, "scores")
    assert caught.value.hint == "run: snakemake --cores all train"
    with h5py.File(path, "w") as file:  # such as one of an earlier version
        file["features"] = CONTENT["features"]
    with pytest.raises(StoreError, match="made by another version of sreclip or another program"):
        open_sealed(path)
    with pytest.raises(StoreError, match="cannot be read"):
        open_sealed(tmp_path)
    with pytest.raises(StoreError, match=r"holds images, not text"):
        open_sealed(sealed, "text")


def test_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sreclip.sealed.VERSION", 9)
    path = write(tmp_path / "a.h5")
    monkeypatch.undo()
    with pytest.raises(StoreError, match="format version 9, this sreclip reads 1"):
        open_sealed(path)


@settings(max_examples=200)
@given(data=st.data())
def test_any_bytes_are_those_of_the_file(sealed: Path, data: st.DataObject) -> None:
    seal = open_sealed(sealed)
    content = sealed.read_bytes()[: seal.size]
    near = st.builds(lambda block, by: block * BLOCK + by, st.integers(0, 40), st.integers(-1, 1))
    place = (st.integers(0, seal.size) | near).map(lambda at: min(max(at, 0), seal.size))
    start, stop = sorted((data.draw(place), data.draw(place)))
    out = bytearray(stop - start)
    with seal.reader() as reader:
        reader.read_at(start, memoryview(out))
        assert reader.seek(-10, os.SEEK_END) == seal.size - 10
        assert reader.read(100) == content[-10:]
    assert out == content[start:stop]
    assert seal.size > PORTION


def test_damage_to_an_open_file_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    seal = open_sealed(path)
    os.truncate(path, PORTION + 5)
    with seal.reader() as reader:
        reader.read_at(0, memoryview(bytearray(PORTION)))
        with pytest.raises(DamagedError, match=f"bytes {PORTION} to {PORTION + BLOCK - 1} do not"):
            reader.read_at(PORTION, memoryview(bytearray(6)))
    path.unlink()
    with pytest.raises(StoreError, match="is missing"), seal.reader():
        pass


def test_a_disk_that_cannot_be_read_is_named(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    seal = open_sealed(sealed)
    monkeypatch.setattr("os.preadv", fail)
    with pytest.raises(StoreError, match=r"cannot be read \(Input/output error\)"):
        seal.verify()
    with pytest.raises(StoreError, match=r"cannot be read \(Input/output error\)"):
        open_sealed(sealed)


def test_a_write_error_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(StoreError, match="the disk is full"):
        write(tmp_path / "a.h5")
    monkeypatch.undo()
    with pytest.raises(ZeroDivisionError), new_sealed(tmp_path / "a.h5", "images") as file:
        file["x"] = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_or_a_read_only_one(small_disk: Path) -> None:
    full = pytest.raises(StoreError, match="the disk is full")
    with full, new_sealed(small_disk / "a.h5", "images") as file:
        file["x"] = np.random.default_rng(0).random(1 << 18)
    assert list(small_disk.iterdir()) == []
    write(small_disk / "a.h5")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreError, match="the folder cannot be written"):
        write(small_disk / "b.h5")
    assert same(read(small_disk / "a.h5"))


def test_reading_hashes_no_more_than_it_must(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[int] = []
    own = Reader._load
    monkeypatch.setattr(
        Reader, "_load", lambda self, at, part: (loaded.append(len(part)), own(self, at, part))
    )
    seal: Seal = open_sealed(sealed)
    with seal.reader() as reader:
        reader.read_at(3 * BLOCK + 5, memoryview(bytearray(100)))
    assert loaded == [BLOCK]
