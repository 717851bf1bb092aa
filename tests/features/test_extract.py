"""Images to a shard, with everything that can be wrong with images."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from sreclip.data.grey import OWN_RANGE
from sreclip.errors import ConfigError, DataError, StoreError
from sreclip.features.dataset import ImageDataset
from sreclip.features.extract import ExtractionReport
from sreclip.features.header import Provenance
from sreclip.features.images import open_images
from sreclip.features.verify import verify_file

Extract = Callable[..., ExtractionReport]


def spoil(root: Path, name: str, content: bytes = b"no image") -> None:
    (root / "source" / name).write_bytes(content)


def test_rows_are_the_backbone_s_own(
    root: Path, rows: pd.DataFrame, extract: Extract, fake: SimpleNamespace, tmp_path: Path
) -> None:
    backbone = fake.Backbone()
    report = extract(rows, tmp_path / "a.h5", dtype="float32")
    pixels = [backbone.preprocess(Image.open(root / path)) for path in rows["path"]]
    expected = backbone.encode_image(torch.stack(pixels)).numpy()
    images = open_images([tmp_path / "a.h5"])
    np.testing.assert_array_equal(images.features[:], expected)
    assert images.row_id.tolist() == rows["row_id"].tolist()
    assert images.ok.all()
    header = images.header
    made_with = asdict(Provenance.of(backbone, "float32"))
    assert made_with.items() <= asdict(header).items()
    assert (header.rows_key, header.domain, header.logit_scale) == ("rows", "source", 50.0)
    assert header.key == Provenance.of(backbone, "float32").file_key("images", "rows")
    assert header.versions["torch"] == torch.__version__.split("+")[0]
    assert report.seconds.decode > 0


def test_workers_and_batches_leave_the_bytes_as_they_are(
    rows: pd.DataFrame, extract: Extract, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    for name, workers, batch_size in (("a", 0, 7), ("b", 2, 7), ("c", 1, 64)):
        extract(rows, tmp_path / f"{name}.h5", workers=workers, batch_size=batch_size)
    contents = {(tmp_path / f"{name}.h5").read_bytes() for name in "abc"}
    assert len(contents) == 1
    assert torch.get_num_threads() == threads


def test_the_dataset_pickles(root: Path, rows: pd.DataFrame, fake: SimpleNamespace) -> None:
    images = ImageDataset(rows, root, fake.Backbone().preprocess, 1000)
    again = pickle.loads(pickle.dumps(images))  # noqa: S301 - made here
    torch.testing.assert_close(again[3].pixels, images[3].pixels)


def test_rejected_images_are_flagged_and_listed(
    root: Path, extract: Extract, fake: SimpleNamespace, tmp_path: Path
) -> None:
    spoil(root, "0003.png")
    spoil(root, "0004.png", b"")
    whole = (root / "source" / "0029.png").read_bytes()
    spoil(root, "0029.png", whole[: len(whole) // 2])
    Image.new("RGB", (200, 200)).save(root / "source" / "0010.png")
    rows = fake.manifest_rows(root, [f"source/{number:04d}.png" for number in range(30)])
    rows.loc[5, ["size", "sha256"]] = [0, ""]
    (root / "source" / "0005.png").unlink()
    (root / "source" / "0005.png").mkdir()
    extract(rows, tmp_path / "a.h5", max_pixels=10_000, workers=1)
    bad = [3, 4, 5, 10, 29]
    images = open_images([tmp_path / "a.h5"])
    assert np.flatnonzero(~images.ok).tolist() == bad
    assert not images.features[bad].any()
    assert [reject.path for reject in images.rejects] == rows["path"].iloc[bad].tolist()
    assert [reject.row_id for reject in images.rejects] == rows["row_id"].iloc[bad].tolist()
    reasons = [reject.reason for reject in images.rejects]
    assert "empty" in reasons[1]
    assert "not a regular file" in reasons[2]
    assert "200 x 200" in reasons[3]


@pytest.mark.parametrize("workers", [0, 1])
def test_rejects_and_notes_are_told_and_kept(
    root: Path,
    extract: Extract,
    fake: SimpleNamespace,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    workers: int,
) -> None:
    spoil(root, "0003.png")
    for name, most in (("0004.tif", 1.01), ("0009.tif", 300), ("0011.tif", 1)):
        values = np.linspace(0, most, 48, dtype=np.float32).reshape(6, 8)
        Image.fromarray(values).save(root / "source" / name)
    files = [f"source/{number:04d}.png" for number in range(12)]
    rows = fake.manifest_rows(
        root, [*files, *(f"source/{n}.tif" for n in ("0004", "0009", "0011"))]
    )
    with caplog.at_level(logging.INFO):
        extract(rows, tmp_path / "a.h5", workers=workers)
    assert open_images([tmp_path / "a.h5"]).notes == {OWN_RANGE: 2}
    told = {(record.levelname, record.getMessage()) for record in caplog.records}
    reason = "not an image in a format that is read"
    assert told == {
        ("WARNING", "rejected: 1 of 15 source images, such as source/0003.png"),
        ("INFO", f"rejected: source/0003.png: {reason}"),
        ("WARNING", f"2 of 15 source images: {OWN_RANGE}"),
    }
    caplog.clear()
    extract(fake.manifest_rows(root, files[:3]), tmp_path / "b.h5", workers=workers)
    assert not caplog.records
    assert not open_images([tmp_path / "b.h5"]).notes


def test_images_behind_links_out_of_the_root(
    root: Path, rows: pd.DataFrame, extract: Extract, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere.png"
    (root / "source/0003.png").rename(moved)
    (root / "source/0003.png").symlink_to(moved)
    with pytest.raises(DataError, match="leaves the data root"):
        extract(rows, tmp_path / "a.h5")
    for workers in (0, 1):
        extract(rows, tmp_path / "a.h5", outside_links=True, workers=workers)
        assert open_images([tmp_path / "a.h5"]).ok.all()


def test_heic_of_another_machine_is_not_rejected_by_this_one(
    rows: pd.DataFrame, extract: Extract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.loc[2, "path"] = "source/0002.HEIC"
    rows.loc[3, ["path", "member"]] = ["source/a.tar", "dog/1.heif"]
    monkeypatch.setattr("sreclip.features.extract.can_read_heif", lambda: False)
    with pytest.raises(DataError, match="2 of the 30 images are HEIC") as caught:
        extract(rows, tmp_path / "a.h5")
    assert "pip install pillow-heif" in (caught.value.hint or "")
    assert not (tmp_path / "a.h5").exists()


def test_a_shard_of_nothing_but_rejects(
    root: Path, extract: Extract, fake: SimpleNamespace, tmp_path: Path
) -> None:
    spoil(root, "0003.png")
    rows = fake.manifest_rows(root, ["source/0003.png"])
    extract(rows, tmp_path / "a.h5")
    assert not open_images([tmp_path / "a.h5"]).ok.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "bytes and now has"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "SHA-256"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "not a regular file"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_changed_since_the_manifest(
    root: Path,
    rows: pd.DataFrame,
    extract: Extract,
    tmp_path: Path,
    change: Callable[[Path], object],
    message: str,
    workers: int,
) -> None:
    change(root / "source" / "0012.png")
    with pytest.raises(DataError, match=rf"0012\.png is not the image.*{message}") as caught:
        extract(rows, tmp_path / "out" / "a.h5", workers=workers)
    assert "prepare-data" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_path_out_of_the_root_is_refused(
    root: Path, rows: pd.DataFrame, extract: Extract, tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_bytes((root / "source" / "0000.png").read_bytes())
    (root / "source" / "link.png").symlink_to(tmp_path / "secret.png")
    for path in ("../secret.png", "source/link.png", str(tmp_path / "secret.png")):
        rows.loc[4, "path"] = path
        with pytest.raises(DataError, match="leaves the data root"):
            extract(rows, tmp_path / "a.h5")


def test_a_backbone_that_breaks_its_promise(
    rows: pd.DataFrame, extract: Extract, fake: SimpleNamespace, tmp_path: Path
) -> None:
    backbone = fake.Backbone()
    backbone.encode_image = lambda pixels: torch.full((len(pixels), 16), torch.nan)
    with pytest.raises(ConfigError, match=r"not finite for 'source/0000\.png'"):
        extract(rows, tmp_path / "a.h5", backbone=backbone)
    backbone.encode_image = lambda pixels: torch.full((len(pixels), 16), 2.0)
    with pytest.raises(StoreError, match=f"row_id {rows['row_id'][0]} is not of unit length"):
        extract(rows, tmp_path / "a.h5", backbone=backbone)


def test_half_precision_that_overflows_is_named(
    rows: pd.DataFrame, extract: Extract, fake: SimpleNamespace, tmp_path: Path
) -> None:
    backbone = fake.Backbone(precision="float16")
    backbone.encode_image = lambda pixels, exact=False: torch.full((len(pixels), 16), torch.nan)
    with pytest.raises(ConfigError, match="in float16: the arithmetic overflows") as caught:
        extract(rows, tmp_path / "a.h5", backbone=backbone)
    assert "bfloat16" in caught.value.hint
    assert not (tmp_path / "a.h5").exists()


def test_lines_in_a_log(
    rows: pd.DataFrame,
    extract: Extract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    log, lines = logging.getLogger("sreclip"), io.StringIO()
    monkeypatch.setattr(log, "handlers", [logging.StreamHandler(lines)])
    caplog.set_level(logging.INFO, logger="sreclip")
    extract(rows, tmp_path / "a.h5", progress=True)
    assert "fake, source shard rows: 30/30 images" in lines.getvalue()
    assert "model" in lines.getvalue()
    assert "\r" not in lines.getvalue()


def test_kills_at_random_moments_leave_no_file_and_the_next_run_is_the_same(
    extract: Extract, fake: SimpleNamespace, tmp_path: Path
) -> None:
    """Three here, and three in tests/workflow/test_faults.py."""
    root, out = tmp_path / "many", tmp_path / "out" / "a.h5"
    fake.make_images(root, 700)
    options = [{"dim": 512, "delay": 0.2}, {"batch_size": 100, "workers": 1}]
    program = [sys.executable, str(fake.program), str(root), str(out), json.dumps(options)]
    chance = random.Random(0)
    # The model takes 0.2 s for each of the seven batches, and says when it begins one. After the
    # last one the file is written.
    for begun, least in ((1, 0.0), (4, 0.0), (7, 0.19)):
        process = subprocess.Popen(program, start_new_session=True, stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(begun):
            assert process.stdout.readline() == b"batch\n"
        time.sleep(least + chance.uniform(0.0, 0.02))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if out.exists():  # the kill came too late
            verify_file(out)
            out.unlink()
    files = [path.relative_to(root).as_posix() for path in root.rglob("*.png")]
    undisturbed = tmp_path / "undisturbed.h5"
    for target in (out, undisturbed):
        extract(
            fake.manifest_rows(root, files),
            target,
            root=root,
            backbone=fake.Backbone(dim=512),
            batch_size=100,
        )
    assert out.read_bytes() == undisturbed.read_bytes()


def test_a_kill_while_the_file_is_written_leaves_a_temporary_file_alone(tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    program = (
        "import os, sys; from pathlib import Path; from sreclip.sealed import new_sealed\n"
        "os.fsync = lambda *_: os.kill(os.getpid(), 9)\n"
        "with new_sealed(Path(sys.argv[1]), 'images') as file: file['x'] = 1"
    )
    done = subprocess.run([sys.executable, "-c", program, str(out)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
