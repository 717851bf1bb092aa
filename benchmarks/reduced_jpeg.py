"""What decoding JPEG files at a reduced size gains, and what it does to the features.

    python benchmarks/reduced_jpeg.py                                  # made-up images
    python benchmarks/reduced_jpeg.py --root PACS/photo --enlarge 8    # enlarged and saved again

The features are the `mini` backbone's, for random weights would say nothing about the error.
"""

from __future__ import annotations

import argparse
import io
import statistics
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from extraction import made_up_image
from measuring import commit, machine, timed
from PIL import Image

from sreclip.config.models import BackboneSettings, FeatureSettings
from sreclip.data.images import read_image
from sreclip.features.extract import REDUCED_SIDES

MAX_PIXELS = FeatureSettings().max_pixels


def jpeg(image: Image.Image) -> bytes:
    """Save at quality 90."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def made_up(count: int, sides: tuple[int, int]) -> Iterator[bytes]:
    """Shapes, texture and grain: more of it than photos have."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        yield jpeg(made_up_image(generator, sides))


def enlarged(root: Path, count: int, times: int) -> Iterator[bytes]:
    """Images below ``root``, ``times`` as wide: smoother than photos of that size."""
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        raise SystemExit(f"no JPEG files below {root}")
    for path in files[:: max(1, len(files) // count)][:count]:
        image = read_image(path.read_bytes(), max_pixels=MAX_PIXELS)
        size = (image.width * times, image.height * times)
        yield jpeg(image.resize(size, Image.Resampling.BICUBIC))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="folder of JPEG files; without it, made-up ones")
    parser.add_argument("--enlarge", type=int, default=8, help="times by which those are enlarged")
    parser.add_argument("--images", type=int, default=64)
    arguments = parser.parse_args()
    if arguments.images < 1 or arguments.enlarge < 1:
        parser.error("images and enlarge must be positive")
    if arguments.root is None:
        contents = list(made_up(arguments.images, (2000, 1500)))
    else:
        contents = list(enlarged(arguments.root, arguments.images, arguments.enlarge))
    sizes = {read_image(content, max_pixels=MAX_PIXELS).size for content in contents}
    torch.set_num_threads(1)
    backbone = BackboneSettings(name="mini").load("cpu")
    rows, seconds = {}, {}
    for side in (0, REDUCED_SIDES * backbone.image_size, backbone.image_size):
        read = partial(read_image, max_pixels=MAX_PIXELS, least_side=side)
        reads = [partial(read, content) for content in contents]
        seconds[side] = statistics.median(timed(each, 1)[0] for each in reads)
        pixels = torch.stack([backbone.preprocess(each()) for each in reads])
        rows[side] = backbone.encode_image(pixels).double().numpy()
    shown = ", ".join(f"{width} x {height}" for width, height in sorted(sizes)[:3])
    print(f"{len(contents)} images of {shown}; {machine()}; commit {commit()}.\n")
    print("| least side kept | ms per image | 1 - cosine, mean | 1 - cosine, largest |")
    print("| --- | ---: | ---: | ---: |")
    for side, features in rows.items():
        error = 1 - (features * rows[0]).sum(axis=1)
        label = f"{side} (`features.reduced_jpeg`)" if side > backbone.image_size else side or "all"
        print(f"| {label} | {1000 * seconds[side]:.1f} | {error.mean():.1e} | {error.max():.1e} |")


if __name__ == "__main__":
    main()
