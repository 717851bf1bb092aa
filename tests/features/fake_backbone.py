"""A backbone without weights, and a small task; also run as a program that a test kills."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from sreclip.data.manifest import COLUMNS, row_id


class FakeBackbone:
    """A fixed random projection of downscaled pixels; texts go to vectors seeded by their hash.

    Pixels may be ``enlarged`` again, which changes no feature.
    """

    label = "fake"
    network = "random projection"
    context_length = 20
    logit_scale = 50.0
    preprocessing = "8 x 8, 0..1"
    image_size = 8

    def __init__(
        self,
        dim: int = 16,
        seed: int = 0,
        delay: float = 0.0,
        precision: str = "float32",
        device: str = "cpu",
        enlarged: int = 1,
    ) -> None:
        self.dim, self.delay, self.precision = dim, delay, precision
        self.enlarged = enlarged
        matrix = np.random.default_rng(seed).normal(size=(3 * 8 * 8, dim)).astype(np.float32)
        self.device = torch.device(device)
        self.matrix = torch.from_numpy(matrix).to(self.device)
        self.weights_sha256 = hashlib.sha256(matrix.tobytes()).hexdigest()
        self.texts_seen: list[str] = []

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        small = np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR), dtype=np.float32)
        large = small.repeat(self.enlarged, axis=0).repeat(self.enlarged, axis=1)
        return torch.from_numpy(large / 255).permute(2, 0, 1).contiguous()

    def encode_image(self, pixels: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
        if self.delay:
            print("batch", flush=True)  # a test kills the program then
            time.sleep(self.delay)
        dtype = torch.float32 if exact else getattr(torch, self.precision)
        # Row by row, so that the numbers cannot depend on the size of the batch.
        matrix = self.matrix.to(dtype)
        pixels = pixels[:, :, :: self.enlarged, :: self.enlarged].to(self.device).flatten(1)
        rows = torch.stack([row.to(dtype) @ matrix for row in pixels]).float()
        return torch.nn.functional.normalize(rows, dim=1)

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        self.texts_seen += texts
        seeds = [
            int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in texts
        ]
        rows = [np.random.default_rng(seed).normal(size=self.dim) for seed in seeds]
        return torch.nn.functional.normalize(torch.tensor(np.array(rows)).float(), dim=1)


def make_images(root: Path, count: int, domain: str = "source", seed: int = 0) -> list[str]:
    """Write small PNG files and give their paths relative to ``root``."""
    folder = root / domain
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        pixels = generator.integers(0, 256, size=(10, 12, 3), dtype=np.uint8)
        paths.append(f"{domain}/{number:04d}.png")
        Image.fromarray(pixels).save(root / paths[-1])
    return paths


def manifest_rows(root: Path, paths: list[str], domain: str = "source") -> pd.DataFrame:
    """Manifest rows of files as they are now."""
    contents = [(root / path).read_bytes() for path in sorted(paths)]
    return pd.DataFrame(
        {
            "row_id": [row_id(domain, path) for path in sorted(paths)],
            "path": sorted(paths),
            "domain": domain,
            "label": 0,
            "size": [len(content) for content in contents],
            "sha256": [hashlib.sha256(content).hexdigest() for content in contents],
            "member": None,
            "offset": None,
        }
    ).astype(COLUMNS)


if __name__ == "__main__":
    from sreclip.config.models import FeatureSettings
    from sreclip.features.extract import extract_images

    data, target = Path(sys.argv[1]), Path(sys.argv[2])
    own, settings = json.loads(sys.argv[3])
    files = [path.relative_to(data).as_posix() for path in data.rglob("*.png")]
    extract_images(
        manifest_rows(data, files),
        data,
        FakeBackbone(**own),
        target,
        FeatureSettings(**settings),
        rows_key="rows",
        progress=False,
    )
