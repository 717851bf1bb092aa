"""Ways to decode a JPEG file and to resize it: how fast, and what they do to the features.

    python benchmarks/decoding.py                                        # made-up images
    python benchmarks/decoding.py --root PACS/photo --sides 500x375,2000x1500

Decoders that sreclip does not use are optional: pip install simplejpeg PyTurboJPEG (which wants the
system's libturbojpeg). The features are the `mini` backbone's, for random weights would say nothing
about the error. Times are processor seconds of one thread, from the file's content in memory to the
pixels that the backbone takes.
"""

from __future__ import annotations

import argparse
import importlib
import io
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from extraction import made_up_image
from measuring import commit, machine
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as tf

from sreclip.backbones.mini_encoders import PIXELS, RESIZED, ImageEncoder
from sreclip.config.models import BackboneSettings, FeatureSettings
from sreclip.data.images import read_image
from sreclip.features.extract import REDUCED_SIDES

MAX_PIXELS = FeatureSettings().max_pixels
DEFAULT = "Pillow, whole (the default)"
Way = Callable[[bytes], Tensor]

preprocess = ImageEncoder.preprocess


def pillow_ways() -> dict[str, Way]:
    """What Pillow offers, the default first."""

    def way(least_side: int, resize: Callable[[Image.Image], Tensor] = preprocess) -> Way:
        read = partial(read_image, max_pixels=MAX_PIXELS, least_side=least_side)
        return lambda content: resize(read(content))

    def box_first(reducing_gap: float, image: Image.Image) -> Tensor:
        scale = RESIZED / min(image.size)
        size = (int(image.width * scale), int(image.height * scale))
        small = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=reducing_gap)
        return tf.pil_to_tensor(tf.center_crop(small, PIXELS))

    return {
        DEFAULT: way(0),
        "Pillow draft, twice the side left (`features.reduced_jpeg`)": way(REDUCED_SIDES * RESIZED),
        "Pillow draft, the side left": way(RESIZED),
        "Pillow, whole, `reducing_gap` 3": way(0, partial(box_first, 3.0)),
        "Pillow, whole, `reducing_gap` 2": way(0, partial(box_first, 2.0)),
    }


def torchvision_ways() -> dict[str, Way]:
    """Decoding to a tensor, antialiased resizing of bytes."""

    def way(content: bytes) -> Tensor:
        encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        pixels = decode_jpeg(encoded, mode=ImageReadMode.RGB)
        small = tf.resize(pixels, [RESIZED], InterpolationMode.BICUBIC, antialias=True)
        return tf.center_crop(small, [PIXELS])

    return {"torchvision decode_jpeg, antialiased resize": way}


def simplejpeg_ways() -> dict[str, Way]:
    """The size is read first where a reduced one is decoded, in eighths."""
    module: Any = importlib.import_module("simplejpeg")

    def way(**options: Any) -> Way:
        return lambda content: preprocess(Image.fromarray(module.decode_jpeg(content, **options)))

    def side(least: int) -> dict[str, int]:
        return {"min_height": least, "min_width": least}

    return {
        "simplejpeg, whole": way(),
        "simplejpeg, whole, fast transform and upsampling": way(fastdct=True, fastupsample=True),
        "simplejpeg, size read first, twice the side left": way(**side(REDUCED_SIDES * RESIZED)),
        "simplejpeg, size read first, the side left": way(**side(RESIZED)),
    }


def turbojpeg_ways() -> dict[str, Way]:
    """As simplejpeg, by the system's library."""
    module: Any = importlib.import_module("turbojpeg")
    decoder = module.TurboJPEG()

    def whole(content: bytes) -> Tensor:
        return preprocess(Image.fromarray(decoder.decode(content, pixel_format=module.TJPF_RGB)))

    def reduced(content: bytes) -> Tensor:
        width, height, *_ = decoder.decode_header(content)
        least = REDUCED_SIDES * RESIZED
        fits = [eighths for eighths in range(1, 8) if min(width, height) * eighths // 8 >= least]
        factor = (fits[0], 8) if fits else None
        pixels = decoder.decode(content, pixel_format=module.TJPF_RGB, scaling_factor=factor)
        return preprocess(Image.fromarray(pixels))

    return {
        "PyTurboJPEG, whole": whole,
        "PyTurboJPEG, size read first, twice the side left": reduced,
    }


def all_ways() -> tuple[dict[str, Way], dict[str, str]]:
    """Return the ways that there are here, and why others are not."""
    found, missing = pillow_ways() | torchvision_ways(), {}
    for name, ways in (("simplejpeg", simplejpeg_ways), ("PyTurboJPEG", turbojpeg_ways)):
        try:
            found |= ways()
        except (ImportError, OSError, RuntimeError) as error:
            missing[name] = str(error).partition("\n")[0]
    return found, missing


def jpegs(root: Path | None, count: int, sides: tuple[int, int]) -> Iterator[bytes]:
    """Images of this size at quality 90: made-up ones, or those below ``root``, enlarged."""
    generator = np.random.default_rng(0)
    files: list[Path] = []
    if root is not None:
        files = sorted(p for p in root.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
        if not files:
            raise SystemExit(f"no JPEG files below {root}")
    for path in files[:: max(1, len(files) // count)][:count] or [None] * count:
        if path is None:
            image = made_up_image(generator, sides)
        else:
            image = read_image(path.read_bytes(), max_pixels=MAX_PIXELS)
            image = ImageOps.fit(image, sides, Image.Resampling.BICUBIC)
        out = io.BytesIO()
        image.save(out, "JPEG", quality=90)
        yield out.getvalue()


def measure(ways: dict[str, Way], content: bytes, rounds: int) -> dict[str, tuple[float, Tensor]]:
    """Least processor seconds of each way over some rounds, by turns, and its pixels."""
    found: dict[str, tuple[float, Tensor]] = {}
    for turn in range(rounds):
        # In another order each time: the first one finds colder caches.
        for name in random.Random(turn).sample(list(ways), len(ways)):
            begun = time.process_time()
            pixels = ways[name](content)
            seconds = time.process_time() - begun
            found[name] = (min(seconds, found.get(name, (seconds,))[0]), pixels)
    return found


def parse_sides(text: str) -> list[tuple[int, int]]:
    """Read sizes such as ``500x375,2000x1500``."""
    found = [tuple(map(int, each.split("x"))) for each in text.split(",")]
    if not all(len(each) == 2 and min(each) > 0 for each in found):
        raise ValueError(text)
    return [(each[0], each[1]) for each in found]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="folder of JPEG files; without it, made-up ones")
    parser.add_argument("--sides", type=parse_sides, default=[(500, 375), (2000, 1500)])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.images < 1 or arguments.rounds < 1:
        parser.error("images and rounds must be positive")
    torch.set_num_threads(1)
    backbone = BackboneSettings(name="mini").load("cpu")
    ways, missing = all_ways()
    what = "made up" if arguments.root is None else f"of {arguments.root.name}, enlarged"
    print(f"{arguments.images} images {what}; {machine()}; commit {commit()}.\n")
    print("| images | way | images/s per core | times the default | 1 - cosine, mean | largest |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for sides in arguments.sides:
        contents = jpegs(arguments.root, arguments.images, sides)
        runs = [measure(ways, content, arguments.rounds) for content in contents]
        seconds = {name: sum(run[name][0] for run in runs) / len(runs) for name in ways}
        rows = {
            name: backbone.encode_image(torch.stack([run[name][1] for run in runs])).double()
            for name in ways
        }
        for name in ways:
            error = 1 - torch.cosine_similarity(rows[name], rows[DEFAULT])
            # What rounding leaves of nothing.
            mean, largest = (max(0.0, round(float(x), 9)) for x in (error.mean(), error.max()))
            print(
                f"| {sides[0]} x {sides[1]} | {name} | {1 / seconds[name]:.0f} "
                f"| {seconds[DEFAULT] / seconds[name]:.2f} | {mean:.1e} | {largest:.1e} |"
            )
    for name, reason in missing.items():
        print(f"\nNot measured: {name} ({reason}).")


if __name__ == "__main__":
    main()
