"""Batches through a backbone, one behind the other or with the next on its way."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from sreclip.config.models import BackboneSettings
from sreclip.features.dataset import Batch
from sreclip.features.encode import encode_batches
from sreclip.features.extract import ExtractionReport
from sreclip.features.progress import Seconds
from tests.backbones.test_open_clip import MODEL, checkpoint
from tests.pretended_gpu import PretendedGpu

__all__ = ["checkpoint"]
Extract = Callable[..., ExtractionReport]
# Images that are ok in each batch of three.
OK = [(1, 1, 1), (0, 0, 0), (1, 0, 1), (1, 1, 1), (0, 1, 0)]


def batches() -> Iterator[Batch]:
    """Return pixels that tell every image from every other."""
    generator = torch.Generator().manual_seed(0)
    for flags in OK:
        ok = np.array(flags, dtype=np.bool_)
        pixels = torch.rand(int(ok.sum()), 3, 8, 8, generator=generator) if ok.any() else None
        yield Batch(pixels, ["" if one else "broken" for one in ok])


@pytest.mark.parametrize(("device", "ahead"), [("cpu", 0), ("cuda", 1)])
def test_rows_and_order_do_not_depend_on_what_is_on_its_way(
    device: str, ahead: int, fake: SimpleNamespace
) -> None:
    backbone = fake.Backbone()
    given: list[int] = []

    def counted() -> Iterator[Batch]:
        for number, batch in enumerate(batches()):
            given.append(number)
            yield batch

    with PretendedGpu() if device == "cuda" else nullcontext():
        encoded = encode_batches(fake.Backbone(device=device), counted(), Seconds())
        for number, ((batch, features), expected) in enumerate(
            zip(encoded, batches(), strict=True)
        ):
            assert len(given) == min(number + 1 + ahead, len(OK)), "asked for too many"
            assert batch.ok.tolist() == expected.ok.tolist()
            assert not features[~batch.ok].any()
            if expected.pixels is not None:
                rows = backbone.encode_image(expected.pixels).numpy()
                np.testing.assert_array_equal(features[batch.ok], rows)
    assert number == len(OK) - 1


def test_time_is_split_between_waiting_and_the_model(fake: SimpleNamespace) -> None:
    def slow() -> Iterator[Batch]:
        for batch in batches():
            time.sleep(0.03)
            yield batch

    seconds = Seconds()
    assert len(list(encode_batches(fake.Backbone(delay=0.01), slow(), seconds))) == len(OK)
    assert seconds.wait >= 0.03 * len(OK)
    assert seconds.model >= 0.01 * (len(OK) - 1)


@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true:UserWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_gpu_whose_copies_take_their_time_gives_the_same_file(
    workers: int, rows: pd.DataFrame, extract: Extract, fake: SimpleNamespace, tmp_path: Path
) -> None:
    """A pretended one: what nobody waited for would be nan."""
    extract(rows, tmp_path / "a.h5")
    with PretendedGpu():
        backbone = fake.Backbone(device="cuda")
        extract(rows, tmp_path / "b.h5", backbone=backbone, workers=workers)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_gpu_with_too_little_memory_gets_halves(
    fake: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    expected = [features for _, features in encode_batches(fake.Backbone(), batches(), Seconds())]
    with PretendedGpu(), caplog.at_level(logging.WARNING):
        backbone = fake.Backbone(device="cuda")
        own = backbone.encode_image

        def little_memory(pixels: torch.Tensor) -> torch.Tensor:
            if len(pixels) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return own(pixels)

        backbone.encode_image = little_memory
        found = [features for _, features in encode_batches(backbone, batches(), Seconds())]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))
    assert "not enough memory for 3 images at a time, continuing with 1" in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_on_a_gpu_the_rows_are_those_of_one_batch_at_a_time(
    precision: str, checkpoint: Path
) -> None:
    settings = {"model": MODEL, "pretrained": str(checkpoint), "precision": precision}
    backbone = BackboneSettings(name="open_clip", open_clip=settings).load("cuda")
    generator = torch.Generator().manual_seed(0)
    pixels = [torch.randn(32, 3, 224, 224, generator=generator) for _ in range(40)]
    alone = [backbone.encode_image(one).cpu().numpy() for one in pixels]
    given = (Batch(one.pin_memory(), [""] * 32) for one in pixels)
    for (_, features), expected in zip(
        encode_batches(backbone, given, Seconds()), alone, strict=True
    ):
        np.testing.assert_array_equal(features, expected)
