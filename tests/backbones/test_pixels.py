"""Pixels in bytes: after the scaling they are, bit for bit, what the whole transform gives."""

from __future__ import annotations

import itertools

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, ToTensor

from sreclip.backbones.mini_encoders import MEAN, PIXELS, RESIZED, STD, ImageEncoder
from sreclip.backbones.pixels import Scaling, in_bytes


def images(mode: str = "RGB") -> list[Image.Image]:
    random = np.random.default_rng(0)
    sizes = [(50, 80), (300, 40), (64, 64), (1, 9)]
    return [
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).convert(mode)
        for size in sizes
    ]


def kinds() -> list[PreprocessCfg]:
    """Every way to resize, crop and scale that open_clip has, and every one that a model uses."""
    made = [
        PreprocessCfg(size=size, resize_mode=mode, interpolation=interpolation, fill_color=7)
        for size, mode, interpolation in itertools.product(
            [32, (32, 48)], ["shortest", "longest", "squash"], ["bicubic", "bilinear"]
        )
    ]
    used = {
        tuple(sorted((name, str(value)) for name, value in config.items())): config
        for model, tag in open_clip.list_pretrained()
        if (config := open_clip.get_pretrained_cfg(model, tag))
    }
    scalings = {
        (tuple(config["mean"]), tuple(config["std"]))
        for config in used.values()
        if config.get("mean") and config.get("std")
    }
    assert len(scalings) > 2
    return made + [PreprocessCfg(size=32, mean=mean, std=std) for mean, std in sorted(scalings)]


@pytest.mark.parametrize("config", kinds(), ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_every_transform_of_open_clip(config: PreprocessCfg, mode: str) -> None:
    whole = image_transform_v2(config, is_train=False)
    first, scaling = in_bytes(whole)
    assert scaling is not None
    for image in images(mode):
        pixels = first(image)
        assert pixels.dtype == torch.uint8
        assert torch.equal(scaling(pixels[None])[0], whole(image))


def test_all_bytes_in_any_layout() -> None:
    every = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16)
    scaling = Scaling((0.48, 0.45, 0.40), (0.26, 0.25, 0.27))
    mean, std = (np.float32(values).reshape(3, 1, 1) for values in (scaling.mean, scaling.std))
    expected = (every.numpy().astype(np.float32) / np.float32(255) - mean) / std
    for layout in (torch.contiguous_format, torch.channels_last):
        found = scaling(every.to(memory_format=layout))
        np.testing.assert_array_equal(found.numpy(), expected)
        assert torch.equal(scaling(found), found)


def test_mini_reads_what_it_was_fitted_on() -> None:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as tf

    for image in images():
        resized = tf.resize(image, RESIZED, InterpolationMode.BICUBIC)
        whole = tf.normalize(tf.to_tensor(tf.center_crop(resized, PIXELS)), MEAN, STD)
        assert torch.equal(Scaling(MEAN, STD)(ImageEncoder.preprocess(image)[None])[0], whole)


def test_another_transform_stays_whole() -> None:
    for whole in (Compose([CenterCrop(8), ToTensor()]), Compose([]), ToTensor()):
        assert in_bytes(whole) == (whole, None)
