"""Decoding processes that hang, die or run out of memory, and a model that does."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sreclip.errors import DataError
from sreclip.features.dataset import ImageDataset
from sreclip.features.extract import ExtractionReport
from sreclip.features.images import open_images
from sreclip.features.loading import HangingDecoderError, Watch, cuts, load_batches

Extract = Callable[..., ExtractionReport]
Preprocess = Callable[[Image.Image], torch.Tensor]
# Where a fault strikes: the 13th image is made to have this width.
AT, WIDTH = 12, 77


@pytest.fixture
def marked(root: Path, fake: SimpleNamespace) -> pd.DataFrame:
    """Rows of 30 images of which one is known by its width."""
    Image.new("RGB", (WIDTH, 20), "red").save(root / "source" / f"{AT:04d}.png")
    return fake.manifest_rows(root, [f"source/{number:04d}.png" for number in range(30)])


def striking(fake: SimpleNamespace, strike: Callable[[], object]) -> object:
    """Return a backbone whose preprocessing calls ``strike`` at the marked image."""
    backbone = fake.Backbone()
    own: Preprocess = backbone.preprocess

    def preprocess(image: Image.Image) -> torch.Tensor:
        if image.width == WIDTH:
            strike()
        return own(image)

    backbone.preprocess = preprocess
    return backbone


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 20), st.integers(1, 20))
def test_pieces_cover_the_rows_and_stay_in_their_batch(
    start: int, stop: int, batch_size: int, size: int
) -> None:
    pieces = cuts(start, stop, batch_size, size)
    assert [row for piece in pieces for row in piece] == list(range(start, stop))
    assert all(0 < len(piece) <= size for piece in pieces)
    assert all(piece[0] // batch_size == piece[-1] // batch_size for piece in pieces)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_image_that_hangs_the_decoder_is_rejected(
    marked: pd.DataFrame, extract: Extract, fake: SimpleNamespace, tmp_path: Path, workers: int
) -> None:
    backbone = striking(fake, lambda: time.sleep(1000))
    begun = time.monotonic()
    settings = {"workers": workers, "decode_limit": 1.0}
    extract(marked, tmp_path / "a.h5", backbone=backbone, **settings)
    assert time.monotonic() - begun < 30
    extract(marked, tmp_path / "b.h5")
    hung, undisturbed = open_images([tmp_path / "a.h5"]), open_images([tmp_path / "b.h5"])
    assert [(reject.path, reject.reason) for reject in hung.rejects] == [
        (f"source/{AT:04d}.png", "not decoded within 1 s")
    ]
    others = np.arange(30) != AT
    np.testing.assert_array_equal(hung.ok, others)
    np.testing.assert_array_equal(hung.features[others], undisturbed.features[others])


def test_only_time_at_one_image_counts() -> None:
    watch = Watch(2, limit_s=1.0)
    for row in range(5):
        watch._table[0, :2] = torch.tensor([11, row])
        watch.waited(0.8)
    watch.waited(0.1)
    watch._table[1, :2] = torch.tensor([12, 40])
    with pytest.raises(HangingDecoderError) as caught:
        watch.waited(0.9)
    assert caught.value.stuck == {11: 4}


def test_a_killed_worker_halves_the_pieces_and_changes_no_byte(
    marked: pd.DataFrame,
    extract: Extract,
    fake: SimpleNamespace,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    extract(marked, tmp_path / "a.h5")
    deaths = tmp_path / "deaths"
    deaths.mkdir()

    def die_twice() -> None:
        count = len(list(deaths.iterdir()))
        if count < 2:
            (deaths / str(count)).touch()
            os.kill(os.getpid(), signal.SIGKILL)

    before = signal.getsignal(signal.SIGCHLD)
    with caplog.at_level(logging.WARNING):
        extract(marked, tmp_path / "b.h5", backbone=striking(fake, die_twice), workers=2)
    assert signal.getsignal(signal.SIGCHLD) is before
    assert len(list(deaths.iterdir())) == 2
    assert [record.args for record in caplog.records] == [(3,), (1,)]
    assert "killed for memory" in caplog.text
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_an_image_that_always_kills_is_named(
    marked: pd.DataFrame, extract: Extract, fake: SimpleNamespace, tmp_path: Path
) -> None:
    backbone = striking(fake, lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(DataError, match=rf"died.*source/{AT:04d}\.png") as caught:
        extract(marked, tmp_path / "out" / "a.h5", backbone=backbone, workers=1)
    assert "features.workers" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_worker_that_dies_while_the_model_runs(
    root: Path, rows: pd.DataFrame, fake: SimpleNamespace
) -> None:
    images = ImageDataset(rows, root, fake.Backbone().preprocess, 10_000)
    batches = load_batches(images, 2, 2, limit_s=60)
    first = next(batches)
    for worker in torch.multiprocessing.active_children():
        os.kill(worker.pid, signal.SIGKILL)
    # The model's time: torch's own handler of this signal would raise here.
    time.sleep(0.5)
    assert sum(map(len, [first, *batches])) == len(rows)


def test_a_model_with_too_little_memory_gets_halves(
    rows: pd.DataFrame,
    extract: Extract,
    fake: SimpleNamespace,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    extract(rows, tmp_path / "a.h5", batch_size=12)
    backbone = fake.Backbone()
    own = backbone.encode_image

    def little_memory(pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > 5:
            torch.empty(1 << 60)
        return own(pixels)

    backbone.encode_image = little_memory
    with caplog.at_level(logging.WARNING):
        extract(rows, tmp_path / "b.h5", batch_size=12, backbone=backbone)
    assert "not enough memory for 12 images at a time, continuing with 6" in caplog.text
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_half_precision_reports_its_error(
    rows: pd.DataFrame, extract: Extract, fake: SimpleNamespace, tmp_path: Path
) -> None:
    exact = extract(rows, tmp_path / "a.h5", dtype="float32")
    half = extract(
        rows, tmp_path / "b.h5", dtype="float32", backbone=fake.Backbone(precision="bfloat16")
    )
    assert exact.rounding == 0
    first, second = open_images([tmp_path / "a.h5"]), open_images([tmp_path / "b.h5"])
    cosine = (first.features[:7] * second.features[:7]).sum(axis=1)
    assert second.header.precision == "bfloat16"
    assert second.header.key != first.header.key
    assert half.rounding == pytest.approx(1 - cosine.min(), abs=1e-6)
    assert 0 < half.rounding < 1e-3


def test_large_jpeg_files_may_be_decoded_at_a_reduced_size(
    root: Path, extract: Extract, fake: SimpleNamespace, tmp_path: Path
) -> None:
    sizes = {"small.jpg": (30, 31), "large.jpg": (130, 70), "large.png": (130, 70)}
    for name, size in sizes.items():
        Image.effect_noise(size, 40).convert("RGB").save(root / "source" / name)
    rows = fake.manifest_rows(root, [f"source/{name}" for name in sizes])
    seen: list[tuple[int, int]] = []
    backbone = fake.Backbone()
    own: Preprocess = backbone.preprocess
    backbone.preprocess = lambda image: (seen.append(image.size), own(image))[1]
    for name, reduced in (("a", False), ("b", True)):
        extract(rows, tmp_path / f"{name}.h5", backbone=backbone, reduced_jpeg=reduced)
    # Twice the 8 pixels of the backbone must remain: a quarter of 70, none of 31.
    assert seen[:3] == [(130, 70), (130, 70), (30, 31)]
    assert seen[3:] == [(33, 18), (130, 70), (30, 31)]
    full, reduced = open_images([tmp_path / "a.h5"]), open_images([tmp_path / "b.h5"])
    assert full.header.key != reduced.header.key
    assert "reduced size of 16" in reduced.header.preprocessing
    cosine = (full.features[:].astype(float) * reduced.features[:]).sum(axis=1)
    assert 0.99 < cosine[0] < 0.99999
    np.testing.assert_array_equal(full.features[1:], reduced.features[1:])
