"""Images per second: extraction beside a plain loop, the bare model and what the cores allow.

    python benchmarks/extraction.py                                   # ViT-B-32 on made-up JPEGs
    python benchmarks/extraction.py --root PACS/photo --model ViT-B-16 --out extraction.md
    python benchmarks/extraction.py --device cuda --precision bfloat16 --workers 15 --images 20000

The model has random weights, which does not change its time. What is compared takes turns.
`docs/performance.md` says what the lines mean.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import commit, machine, number, show

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from PIL import Image

    from sreclip.backbones.open_clip import OpenClipBackbone
    from sreclip.features.extract import ExtractionReport

SIDES = (500, 375)
SAMPLE = 64


@dataclass(frozen=True)
class Options:
    """What is measured; the names are those of the command line."""

    root: Path | None
    images: int
    model: str
    precision: str
    device: str
    batch: int
    workers: int
    threads: int
    rounds: int


def made_up_image(generator: np.random.Generator, sides: tuple[int, int]) -> Image.Image:
    """Draw shapes, texture and grain, which take as long to decode as a photo."""
    from PIL import Image

    def noise(shift: int) -> np.ndarray:
        shape = (max(2, sides[1] >> shift), max(2, sides[0] >> shift), 3)
        coarse = Image.fromarray(generator.integers(0, 256, shape, np.uint8))
        return np.asarray(coarse.resize(sides, Image.Resampling.BICUBIC), dtype=np.float32)

    image = np.average([noise(shift) for shift in (6, 4, 2, 0)], axis=0, weights=(12, 5, 2, 1))
    return Image.fromarray(image.astype(np.uint8))


def make_images(folder: Path, count: int) -> None:
    """Write JPEG files of the size of ImageNet's."""
    generator = np.random.default_rng(0)
    for n in range(count):
        made_up_image(generator, SIDES).save(folder / f"{n:05}.jpg", quality=90)


def manifest(root: Path, count: int) -> pd.DataFrame:
    """Rows of the images below ``root``, over again until there are enough."""
    import pandas as pd

    from sreclip.data.manifest import COLUMNS

    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not files:
        raise SystemExit(f"no images below {root}")
    contents = {path: path.read_bytes() for path in files[:count]}
    chosen = [files[n % len(files)] for n in range(count)]
    return pd.DataFrame(
        {
            "row_id": range(count),
            "path": [path.relative_to(root).as_posix() for path in chosen],
            "domain": "source",
            "label": 0,
            "size": [len(contents[path]) for path in chosen],
            "sha256": [hashlib.sha256(contents[path]).hexdigest() for path in chosen],
            "member": None,
            "offset": None,
        }
    ).astype(COLUMNS)


def random_backbone(name: str, precision: str, device: str) -> OpenClipBackbone:
    """A model of open_clip with random weights, as `sreclip` runs it."""
    import open_clip
    import torch

    from sreclip.backbones.building import Built
    from sreclip.backbones.open_clip import OpenClipBackbone
    from sreclip.config.backbones import OpenClipSettings

    torch.manual_seed(0)
    built = Built(open_clip.create_model(name), name, open_clip.get_model_config(name)["embed_dim"])
    settings = OpenClipSettings(model=name, precision=precision).model_dump()
    return OpenClipBackbone(built, settings, f"{name}-random", torch.device(device))


class Plain:
    """What one writes in ten lines: a DataLoader, open_clip, an array."""

    def __init__(self, paths: Sequence[Path], backbone: OpenClipBackbone, options: Options) -> None:
        from open_clip.transform import PreprocessCfg, image_transform_v2

        self.paths, self.backbone, self.options = paths, backbone, options
        config = PreprocessCfg(**backbone.model.visual.preprocess_cfg)
        self.transform = image_transform_v2(config, is_train=False)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        from PIL import Image

        return self.transform(Image.open(self.paths[index]).convert("RGB"))

    def run(self, out: Path) -> None:
        """Encode all and save the array."""
        import torch
        from torch.utils.data import DataLoader

        options, rows = self.options, []
        dtype = self.backbone.autocast_dtype
        cuda = options.device != "cpu"
        loader: Any = DataLoader(
            self,  # type: ignore[arg-type]
            batch_size=options.batch,
            num_workers=options.workers,
            pin_memory=cuda,
        )
        with torch.inference_mode(), torch.autocast(options.device, dtype, enabled=bool(dtype)):
            for pixels in loader:
                features = self.backbone.model.encode_image(pixels.to(options.device))
                rows.append(torch.nn.functional.normalize(features.float(), dim=-1).cpu())
        np.save(out, torch.cat(rows).half().numpy())


class Bare:
    """The model alone, on a batch that is where it is wanted."""

    def __init__(self, backbone: OpenClipBackbone, pixels: torch.Tensor) -> None:
        self.backbone = backbone
        pixels = pixels.to(backbone.device)
        scaled = backbone.scaling(pixels) if backbone.scaling else pixels
        self.pixels = scaled.to(backbone.device, memory_format=backbone.layout)

    def run(self, batches: int) -> float:
        """Seconds per image."""
        import torch

        begun = time.perf_counter()
        with torch.inference_mode(), self.backbone._autocast():
            for _ in range(batches):
                features = self.backbone.model.encode_image(self.pixels)
            float(features.sum())  # waits for the device
        return (time.perf_counter() - begun) / (batches * len(self.pixels))


def on_one_core(call: Callable[[], float]) -> float:
    """Call with one thread of torch."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return call()
    finally:
        torch.set_num_threads(before)


@dataclass
class Result:
    """Seconds per image in each round, the reports of our runs, and how far their rows are apart.

    ``apart`` is the largest 1 - cosine between a row of ours and of the plain loop.
    """

    ours: list[float]
    plain: list[float]
    bare: list[float]
    decode_core: list[float]
    model_core: list[float]
    reports: list[ExtractionReport]
    image: str
    apart: float = 0.0


def measure(options: Options, folder: Path) -> Result:
    """Let all take turns."""
    import torch

    from sreclip.config.models import FeatureSettings
    from sreclip.features.dataset import Batch, ImageDataset
    from sreclip.features.extract import extract_images

    torch.set_num_threads(options.threads)
    root = options.root
    if root is None:
        root = folder / "images"
        root.mkdir()
        make_images(root, min(options.images, 256))
    rows = manifest(root, options.images)
    backbone = random_backbone(options.model, options.precision, options.device)
    images = ImageDataset(rows, root, backbone.preprocess, 1 << 28)
    sample = [images[n] for n in range(min(options.batch, len(rows)))]
    pixels = Batch.joined(sample).pixels
    if pixels is None:
        raise SystemExit(f"no image below {root} can be decoded")
    bare = Bare(backbone, pixels)
    bare.run(1)
    plain = Plain([root / path for path in rows["path"]], backbone, options)
    result = Result([], [], [], [], [], [], f"{rows['size'].mean() / 1000:.0f} kB")
    batches = max(1, len(rows) // options.batch)

    def decode() -> float:
        begun = time.perf_counter()
        for n in range(min(SAMPLE, len(rows))):
            images[n]
        return (time.perf_counter() - begun) / min(SAMPLE, len(rows))

    for n in range(options.rounds):
        result.decode_core.append(on_one_core(decode))
        if options.device == "cpu":
            result.model_core.append(on_one_core(lambda: bare.run(max(1, batches // 4))))
        begun = time.perf_counter()
        report = extract_images(
            rows,
            root,
            backbone,
            folder / f"{n}.h5",
            FeatureSettings(batch_size=options.batch, workers=options.workers),
            rows_key="benchmark",
            threads=options.threads,
            progress=False,
        )
        result.ours.append((time.perf_counter() - begun) / len(rows))
        result.reports.append(report)
        begun = time.perf_counter()
        plain.run(folder / "plain.npy")
        result.plain.append((time.perf_counter() - begun) / len(rows))
        result.bare.append(bare.run(batches))
        result.apart = max(result.apart, apart(folder / f"{n}.h5", folder / "plain.npy"))
    return result


def apart(ours: Path, plain: Path) -> float:
    """Largest 1 - cosine between rows that should be the same."""
    from sreclip.features.images import open_images

    theirs = np.load(plain).astype(np.float32)
    mine = open_images([ours]).features[:].astype(np.float32)
    cosine = (mine * theirs).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(theirs, axis=1)
    return float((1 - cosine).max())


def table(result: Result, options: Options) -> Iterator[str]:
    """Ratios first."""
    ours, plain, bare, decode = (
        statistics.median(values)
        for values in (result.ours, result.plain, result.bare, result.decode_core)
    )
    middle = len(result.reports) // 2
    report, wall = result.reports[middle], result.ours[middle] * options.images
    yield "| | |"
    yield "| --- | ---: |"
    yield f"| ours / plain loop | {number(plain / ours)} |"
    if result.model_core:
        core = statistics.median(result.model_core)
        limit = options.threads / (decode + core)
        yield f"| ours / limit of the cores | {number(1 / ours / limit)} |"
    yield f"| ours / bare model | {number(bare / ours)} |"
    yield f"| writing, fraction of the time | {100 * report.seconds.write / wall:.2f} % |"
    yield f"| ours, images/s | {number(1 / ours, 1)} |"
    yield f"| plain loop, images/s | {number(1 / plain, 1)} |"
    yield f"| bare model, images/s | {number(1 / bare, 1)} |"
    if result.model_core:
        yield f"| limit of the cores, images/s | {number(limit, 1)} |"
        yield f"| model, ms per image and core | {1000 * core:.1f} |"
    yield f"| read, hash, decode, preprocess, ms per image and core | {1000 * decode:.1f} |"
    yield f"| work of ours | {report.seconds} |"
    yield f"| 1 - cosine to the plain loop's rows, at most | {result.apart:.1e} |"
    if report.rounding:
        yield f"| 1 - cosine to float32, at most | {report.rounding:.1e} |"


def document(result: Result, options: Options, load: float) -> str:
    """Everything in Markdown."""
    lines = [
        f"{options.model}, {options.precision}, {options.device}; {options.images} images of "
        f"{result.image} in the mean, batches of {options.batch}, {options.workers} decoding "
        f"processes, {options.rounds} rounds.",
        f"{machine()}; threads: {options.threads}; load at the start: {load:.1f}.",
        f"Commit {commit()}.",
        "",
        *table(result, options),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="folder of images; without it, made-up ones")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--model", default="ViT-B-32", help="open_clip's name")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = vars(parser.parse_args())
    out = arguments.pop("out")
    options = Options(**arguments)
    if min(options.images, options.batch, options.threads, options.rounds) < 1:
        parser.error("images, batch, threads and rounds must be positive")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        text = document(measure(options, Path(folder)), options, load)
    show(text, out)


if __name__ == "__main__":
    main()
