"""HEIC: read as any other image where pillow-heif is installed, named where it is not."""

from __future__ import annotations

import importlib.util
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sreclip.data import heif
from sreclip.data.archives import list_archive
from sreclip.data.benchmarks.survey import list_images
from sreclip.data.images import RejectedImage, read_image
from sreclip.data.prepare import prepare_data
from sreclip.data.task import TaskData
from sreclip.data.tasks.folder import FolderTask
from sreclip.errors import DataError

pillow_heif = pytest.importorskip("pillow_heif")
pillow_heif.register_heif_opener()

# White on the right; turned clockwise it is below.
WIDE = np.zeros((64, 128, 3), np.uint8)
WIDE[:, 64:] = 255


def heic(image: Image.Image | None = None, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image = Image.fromarray(WIDE) if image is None else image
    image.info["exif"] = exif.tobytes()  # so it is written as a telephone does: as irot, too
    image.save(buffer, "HEIF", quality=95)
    return buffer.getvalue()


def pixels(content: bytes, **options: int) -> np.ndarray:
    image = read_image(content, max_pixels=10**6, **options)
    assert image.mode == "RGB" and not image.getexif().get(0x0112)
    return np.asarray(image).astype(int)


def reason(content: bytes, max_pixels: int = 10**6) -> str:
    with pytest.raises(RejectedImage) as caught:
        read_image(content, max_pixels=max_pixels)
    return caught.value.message


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which pillow-heif is not installed."""
    real = importlib.util.find_spec
    monkeypatch.setattr(heif, "find_spec", lambda name: None if "heif" in name else real(name))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in ("source/cat/a.HEIC", "source/cat/b.jpg", "source/dog/a.heif", "target/a.hif"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(path.encode())
    (tmp_path / "target/b.jpg").write_bytes(b"b")
    return tmp_path


def settings(root: Path) -> dict[str, Any]:
    return {"root": str(root), "source": "source", "target": "target", "classes": None}


def prepare(root: Path) -> TaskData:
    return FolderTask().prepare(settings(root), Path("unused"))


def test_heic_is_read_whatever_its_name_and_size() -> None:
    assert np.abs(pixels(heic()) - WIDE).mean() < 3
    assert np.abs(pixels(heic(), least_side=16) - WIDE).mean() < 3
    assert reason(heic(), max_pixels=100) == "128 x 64 is more than 100 pixels"


def test_heic_is_turned_once() -> None:
    content = heic(orientation=6)
    assert b"irot" in content
    shown = pixels(content)
    assert shown.shape == (128, 64, 3)
    assert shown[20].mean() < 10 and shown[110].mean() > 245


def test_transparency_of_heic_is_laid_over_white() -> None:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert pixels(heic(image)).min() > 250


def test_damaged_heic_is_rejected() -> None:
    whole = heic()
    for length in range(20, len(whole), 97):
        assert reason(whole[:length]) == "the file is truncated"
    broken = whole.replace(b"iloc", b"iloX").replace(b"pitm", b"pitX")
    assert reason(broken) == "a HEIC file that is damaged, or of a kind that is not read"


def test_avif_is_no_heic() -> None:
    buffer = io.BytesIO()
    Image.fromarray(WIDE).save(buffer, "AVIF")
    assert not heif.is_heif(buffer.getvalue())
    assert heif.is_heif(heic())


def test_heic_is_listed(root: Path) -> None:
    names = {image.place.path for image in prepare(root).images}
    assert names == {
        *("source/cat/a.HEIC", "source/cat/b.jpg", "source/dog/a.heif"),
        *("target/a.hif", "target/b.jpg"),
    }


@pytest.mark.usefixtures("without")
def test_without_the_package_heic_is_counted(root: Path) -> None:
    with pytest.raises(DataError) as caught:
        prepare(root)
    assert "'source/dog' (1 HEIC images)" in caught.value.message
    assert "pip install pillow-heif" in (caught.value.hint or "")
    (root / "source/dog/b.jpg").write_bytes(b"dog")
    data = prepare(root)
    assert {image.place.path for image in data.images} == {
        *("source/cat/b.jpg", "source/dog/b.jpg", "target/b.jpg")
    }
    notes = [note for note in data.notes if "HEIC" in note]
    assert notes == [
        "source: HEIC images left out: 2; pillow-heif reads them (pip install pillow-heif)",
        "target: HEIC images left out: 1; pillow-heif reads them (pip install pillow-heif)",
    ]
    assert not any(".heic" in note for note in data.notes)
    assert list_images(root, "source").ignored[".heic"] == 1


@pytest.mark.usefixtures("without")
def test_without_the_package_a_class_of_heic_in_an_archive_is_named(root: Path) -> None:
    (root / "source/dog/b.jpg").write_bytes(b"dog")
    with tarfile.open(root / "source/more.tar", "w") as tar:
        for name in ("owl/1.heic", "owl/2.heic", "cat/1.heic", "cat/1.jpg"):
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
    assert list_archive(root, "source/more.tar").ignored[".heic"] == 3
    with pytest.raises(DataError, match=r"'source/owl' \(2 HEIC images\)"):
        prepare(root)


@pytest.mark.usefixtures("without")
def test_without_the_package_nothing_but_heic(root: Path) -> None:
    (root / "target/b.jpg").unlink()
    with pytest.raises(DataError, match="no image at all: HEIC images left out: 1"):
        prepare(root)


@pytest.mark.usefixtures("without")
def test_without_the_package_heic_under_another_name_is_named() -> None:
    expected = "a HEIC image, and pillow-heif is not installed (pip install pillow-heif)"
    assert reason(heic()) == expected


def test_an_installation_makes_the_task_due_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    (root / "source/dog/b.jpg").write_bytes(b"dog")
    more = {"shard_size": 9, "duplicates": "error", "hash_cache": tmp_path / "h.parquet"}
    package = heif.heif_package()
    assert package and os.path.isdir(package[0])  # noqa: PTH112

    def inputs() -> list[Path]:
        return FolderTask().first_look(settings(root), tmp_path / "task").inputs

    with monkeypatch.context() as patched:
        patched.setattr(heif, "find_spec", lambda name: None)
        assert (
            prepare_data("folder", settings(root), tmp_path / "task", **more)["heif_left_out"] == 3
        )
        assert package[0] not in inputs()
    assert package[0] in inputs()
    assert not FolderTask().is_as_prepared(settings(root), tmp_path / "task")
    assert prepare_data("folder", settings(root), tmp_path / "task", **more)["heif_left_out"] == 0
    assert package[0] not in inputs()
