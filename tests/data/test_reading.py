"""Reading images of a manifest: the bytes that were hashed, or a word on why not."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sreclip.data.images import RejectedImage
from sreclip.data.place import Place
from sreclip.data.reading import ImageReader, StoredImage
from sreclip.errors import DataError

CONTENTS = {"a.png": b"first", "b.png": b"", "c.png": b"third one"}


def stored(place: Place, content: bytes) -> StoredImage:
    sha256 = hashlib.sha256(content).hexdigest()
    return StoredImage(place._replace(size=len(content)), sha256)


@pytest.fixture
def images(tmp_path: Path) -> dict[StoredImage, bytes]:
    """The same images as files and in two archives."""
    found = {}
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
        found[stored(Place(name), content)] = content
    for archive in ("x.tar", "y.tar"):
        with tarfile.open(tmp_path / archive, "w") as tar:
            for name, content in CONTENTS.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        with tarfile.open(tmp_path / archive) as tar:
            for info in tar.getmembers():
                place = Place(archive, info.name, info.offset_data)
                found[stored(place, CONTENTS[info.name])] = CONTENTS[info.name]
    return found


@pytest.fixture
def reader(tmp_path: Path) -> ImageReader:
    return ImageReader(tmp_path)


def test_the_bytes_are_read(reader: ImageReader, images: dict[StoredImage, bytes]) -> None:
    for image, content in images.items():
        assert reader.read(image) == content


def test_one_file_is_open_at_a_time(reader: ImageReader, images: dict[StoredImage, bytes]) -> None:
    packed = [image for image in images if image.place.member]
    handles = set()
    for image in packed:
        reader.read(image)
        handles.add(id(reader._handle))
    assert len(handles) <= 2
    last = reader._handle
    reader.close()
    assert last is not None and last.closed


def test_a_copy_for_a_worker_opens_its_own(
    reader: ImageReader, images: dict[StoredImage, bytes]
) -> None:
    image = next(iter(images))
    reader.read(image)
    again = pickle.loads(pickle.dumps(reader))  # noqa: S301 - made here
    assert again._handle is None
    assert again.read(image) == images[image]


def test_what_is_too_large_is_rejected(reader: ImageReader) -> None:
    with pytest.raises(RejectedImage, match="bytes are more than"):
        reader.read(StoredImage(Place("x.tar", "x", 0, 1 << 40), "0" * 64))


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.write_bytes(b"other"), "another SHA-256"),
        (lambda path: path.write_bytes(b"longer than before"), "had 5 bytes and now has 18"),
        (lambda path: path.write_bytes(b"fir"), "had 5 bytes and now has 3"),
        (lambda path: path.unlink(), "cannot be read"),
        (make_pipe, "not a regular file"),
        (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
    ],
)
def test_a_file_that_changed(
    reader: ImageReader,
    images: dict[StoredImage, bytes],
    tmp_path: Path,
    change: Callable[[Path], object],
    words: str,
) -> None:
    change(tmp_path / "a.png")
    with pytest.raises(DataError, match=rf"a\.png is not the image of the manifest.*{words}"):
        reader.read(next(iter(images)))


def test_an_archive_that_was_cut_off(
    reader: ImageReader, images: dict[StoredImage, bytes], tmp_path: Path
) -> None:
    os.truncate(tmp_path / "x.tar", 100)
    image = next(image for image in images if image.place.path == "x.tar")
    with pytest.raises(DataError, match=r"x\.tar/a\.png is not .* cut off"):
        reader.read(image)


def test_what_could_not_be_read_when_it_was_listed(reader: ImageReader, tmp_path: Path) -> None:
    with pytest.raises(RejectedImage, match="cannot be read"):
        reader.read(StoredImage(Place("gone.png", size=5), ""))
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(RejectedImage, match="not a regular file"):
        reader.read(StoredImage(Place("pipe.png", size=0), ""))
    (tmp_path / "back.png").write_bytes(b"first")
    with pytest.raises(DataError, match="now it can"):
        reader.read(StoredImage(Place("back.png", size=5), ""))


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "out.png"])
def test_paths_that_leave_the_root(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(b"first")
    (root / "out.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match="leaves the data root"):
        ImageReader(root).read(stored(Place(path), b"first"))
