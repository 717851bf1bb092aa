"""Images in archives to a shard: the same numbers as from files, and never another's pixels."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from sreclip.config import Params
from sreclip.config.models import BackboneSettings
from sreclip.data.manifest import read_manifest
from sreclip.data.prepare import prepare_data
from sreclip.data.reading import ImageReader, StoredImage
from sreclip.errors import DataError, StoreError
from sreclip.features.dataset import ImageDataset
from sreclip.features.extract import ExtractionReport
from sreclip.features.images import open_images
from sreclip.features.planned import extract_shard
from sreclip.plan.plan import Plan

Extract = Callable[..., ExtractionReport]


def pack(archive: Path, files: dict[str, bytes]) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def prepare(root: Path, folder: Path, shard_size: int) -> None:
    settings = {"root": str(root), "source": "source", "target": "target", "classes": None}
    cache = folder.with_name(f"{folder.name}.hashes.parquet")
    prepare_data(
        "folder", settings, folder, shard_size=shard_size, duplicates="error", hash_cache=cache
    )


def rows_of(root: Path, folder: Path) -> pd.DataFrame:
    """Manifest rows of the source of a data root; a target is put there if it is missing."""
    if not (root / "target").exists():
        (root / "target").mkdir()
        (root / "target" / "a.png").write_bytes(b"target")
    prepare(root, folder, shard_size=1000)
    rows = read_manifest(folder)
    return rows[rows["domain"] == "source"].reset_index(drop=True)


@pytest.fixture
def contents(root: Path) -> dict[str, bytes]:
    """The 30 images, and some that cannot be shown."""
    files = {path.name: path.read_bytes() for path in sorted((root / "source").iterdir())}
    files["0003.png"] = b"no image"
    files["0004.png"] = b""
    files["0029.png"] = files["0029.png"][:-40]
    return files


@pytest.fixture
def packed(tmp_path: Path, contents: dict[str, bytes]) -> Path:
    """A data root with the images in two archives; one has them in the other order."""
    root = tmp_path / "packed"
    items = list(contents.items())
    pack(root / "source/a.tar", {f"dog/{name}": content for name, content in items[:15]})
    pack(root / "source/b.tar", {f"dog/{name}": content for name, content in items[:14:-1]})
    return root


@pytest.fixture
def packed_rows(packed: Path, tmp_path: Path) -> pd.DataFrame:
    return rows_of(packed, tmp_path / "task")


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_images_give_the_same_bytes(
    tmp_path: Path,
    packed: Path,
    packed_rows: pd.DataFrame,
    contents: dict[str, bytes],
    extract: Extract,
    workers: int,
) -> None:
    plain = tmp_path / "plain"
    for name, content in contents.items():
        (plain / "source/dog").mkdir(parents=True, exist_ok=True)
        (plain / "source/dog" / name).write_bytes(content)
    plain_rows = rows_of(plain, tmp_path / "plain_task")
    extract(plain_rows, tmp_path / "plain.h5", root=plain, workers=workers)
    extract(packed_rows, tmp_path / "packed.h5", root=packed, workers=workers)
    one, two = open_images([tmp_path / "plain.h5"]), open_images([tmp_path / "packed.h5"])
    assert one.features[:].tobytes() == two.features[:].tobytes()
    assert one.ok.tolist() == two.ok.tolist() and one.ok.sum() == 27
    reasons = [[reject.reason for reject in images.rejects] for images in (one, two)]
    assert reasons[0] == reasons[1]
    assert [reject.path for reject in two.rejects] == [
        "source/a.tar/dog/0003.png",
        "source/a.tar/dog/0004.png",
        "source/b.tar/dog/0029.png",
    ]


def test_the_dataset_pickles_with_an_open_archive(
    packed: Path, packed_rows: pd.DataFrame, fake: SimpleNamespace
) -> None:
    images = ImageDataset(packed_rows, packed, fake.Backbone().preprocess, 1000)
    first = images[0].pixels
    assert images.reader._handle is not None
    again = pickle.loads(pickle.dumps(images))  # noqa: S301 - made here
    assert again.reader._handle is None
    torch.testing.assert_close(again[0].pixels, first)


def replace_in(archive: Path, name: str, content: bytes) -> None:
    """Overwrite a member of the same length in place, and keep the archive's time."""
    times = archive.stat()
    with tarfile.open(archive) as tar:
        member = tar.getmember(name)
    assert len(content) == member.size
    with archive.open("r+b") as handle:
        handle.seek(member.offset_data)
        handle.write(content)
    os.utime(archive, ns=(times.st_atime_ns, times.st_mtime_ns))


def shift(archive: Path) -> None:
    """Put a member in front: all others move."""
    with tarfile.open(archive) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]
    pack(archive, {"new.png": b"new", **files})


CHANGES = [
    (lambda path: replace_in(path, "dog/0012.png", b"x" * size_of(path)), "SHA-256"),
    (shift, "SHA-256"),
    (lambda path: path.write_bytes(path.read_bytes()[:5_000]), "cut off"),
    (lambda path: path.write_bytes(b""), "cut off"),
    (lambda path: path.unlink(), "cannot be read"),
    (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
    (lambda path: (path.unlink(), os.mkfifo(path)), "not a regular file"),
]


def size_of(archive: Path, name: str = "dog/0012.png") -> int:
    with tarfile.open(archive) as tar:
        return tar.getmember(name).size


@pytest.mark.parametrize(("change", "message"), CHANGES)
@pytest.mark.parametrize("workers", [0, 1])
def test_an_archive_that_changed_since_the_manifest(
    packed: Path,
    packed_rows: pd.DataFrame,
    extract: Extract,
    tmp_path: Path,
    change: Callable[[Path], object],
    message: str,
    workers: int,
) -> None:
    change(packed / "source/a.tar")
    with pytest.raises(DataError, match=rf"a\.tar/dog/\S+ is not the image.*{message}") as caught:
        extract(packed_rows, tmp_path / "out" / "a.h5", root=packed, workers=workers)
    assert "prepare-data" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_the_pixels_are_those_of_the_bytes_that_were_hashed(
    packed: Path, packed_rows: pd.DataFrame, fake: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive replaced between reading and decoding changes nothing."""
    images = ImageDataset(packed_rows, packed, fake.Backbone().preprocess, 1000)
    before = images[7].pixels
    read = ImageReader.read

    def replaced(self: ImageReader, stored: StoredImage) -> bytes:
        content = read(self, stored)
        (packed / stored.place.path).write_bytes(b"another")
        return content

    monkeypatch.setattr(ImageReader, "read", replaced)
    torch.testing.assert_close(images[7].pixels, before)


def test_an_archive_that_leads_out_of_the_root(
    packed: Path, packed_rows: pd.DataFrame, extract: Extract, tmp_path: Path
) -> None:
    shutil.move(packed / "source/a.tar", tmp_path / "a.tar")
    (packed / "source/a.tar").symlink_to(tmp_path / "a.tar")
    with pytest.raises(DataError, match="leaves the data root"):
        extract(packed_rows, tmp_path / "a.h5", root=packed)
    for path in ("../a.tar", str(tmp_path / "a.tar")):
        with pytest.raises(DataError, match="leaves the data root"):
            extract(packed_rows.assign(path=path), tmp_path / "a.h5", root=packed)


def test_a_member_that_was_unreadable_when_it_was_listed(
    packed: Path,
    packed_rows: pd.DataFrame,
    extract: Extract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed_rows.loc[2, "sha256"] = ""
    with pytest.raises(DataError, match=r"0002\.png.*now it can"):
        extract(packed_rows, tmp_path / "a.h5", root=packed)
    offset, archive = int(packed_rows["offset"][2]), (packed / "source/a.tar").stat().st_ino
    pread = os.pread

    def failing(descriptor: int, size: int, at: int) -> bytes:
        if at == offset and os.fstat(descriptor).st_ino == archive:
            raise OSError(5, "Input/output error")
        return pread(descriptor, size, at)

    monkeypatch.setattr(os, "pread", failing)
    extract(packed_rows, tmp_path / "a.h5", root=packed)
    images = open_images([tmp_path / "a.h5"])
    assert not images.ok[2]
    assert images.rejects[0].path == "source/a.tar/dog/0002.png"
    assert "Input/output error" in images.rejects[0].reason
    # Without being listed as unreadable it is not passed over.
    packed_rows.loc[2, "sha256"] = "0" * 64
    with pytest.raises(DataError, match=r"0002\.png is not .* cannot be read"):
        extract(packed_rows, tmp_path / "b.h5", root=packed)


@pytest.fixture
def plan(packed: Path, tmp_path: Path) -> Plan:
    task = {"name": "folder", "folder": {"root": str(packed)}, "shard_size": 9}
    plan = Plan(Params.model_validate({"task": task}), tmp_path)
    rows_of(packed, tmp_path / "task")
    prepare(packed, plan.task.path, shard_size=9)
    return plan


def test_a_shard_reads_its_own_rows(
    plan: Plan, fake: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BackboneSettings, "load", lambda self, device: fake.Backbone())
    rows = read_manifest(plan.task.path)
    monkeypatch.delattr("sreclip.data.manifest.read_manifest")
    shards = plan.domain_shards("source")
    assert len(shards) > 2
    for shard in shards:
        extract_shard(plan, shard.key, progress=False)
        images = open_images([plan.shard_features(shard.key).path])
        expected = rows["row_id"].iloc[shard.start : shard.stop]
        np.testing.assert_array_equal(images.row_id, expected)


def test_a_manifest_of_other_rows_than_the_shards(plan: Plan, fake: SimpleNamespace) -> None:
    path = plan.task.path / "manifest.parquet"
    rows = read_manifest(plan.task.path)
    key = plan.domain_shards("source")[1].key
    rows.iloc[::-1].to_parquet(path, index=False)
    with pytest.raises(StoreError, match=f"not those of shard {key}"):
        extract_shard(plan, key)
    rows.iloc[:3].to_parquet(path, index=False)
    with pytest.raises(StoreError, match="has 3 rows"):
        extract_shard(plan, key)
