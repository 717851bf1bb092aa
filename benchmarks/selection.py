"""How far rules that see no target label end below the best of some settings.

    snakemake --cores all extract_features graph --configfile config/openmoji-splits.yaml
    python benchmarks/selection.py --params config/openmoji-splits.yaml

For every split of the file's sweep and every candidate: H on the target's labels, and H on held-out
source images, as the rule `pseudo_unknown` has it, as they are and in another style. Run it where
the features were extracted.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import commit
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from splits import Split, plans_of

from sreclip.config import load_params
from sreclip.config.methods import Settings
from sreclip.data.manifest import read_manifest
from sreclip.errors import SreclipError
from sreclip.evaluate.accuracy import class_mean_h
from sreclip.features.dataset import ImageDataset
from sreclip.features.encode import encode_batches
from sreclip.features.loading import load_batches
from sreclip.features.planned import open_domain
from sreclip.features.progress import Seconds
from sreclip.plan.plan import Plan
from sreclip.train.fits import fit, make_method, score_target
from sreclip.train.selection import pseudo_folds

# The first are the defaults.
CANDIDATES: dict[str, list[dict[str, Any]]] = {
    "clip_adapter": [{}, {"ratio": 0.05}, {"ratio": 0.1}, {"ratio": 0.4}],
    "tip_adapter": [{}, {"alpha": 0.2}, {"alpha": 0.5}, {"alpha": 3.0}],
    "taskres": [{}, {"alpha": 0.1}, {"alpha": 0.25}, {"alpha": 1.0}],
    "sre_clip": [
        {},
        {"trust": 0.25},
        {"trust": 1.0},
        {"class_bias": 1.0},
        {"relation_images": 1.0},
    ],
}
WHITE = (255, 255, 255)
BATCH = 64


def stylised(image: Image.Image) -> Image.Image:
    """Give the image another style, drawn by its own pixels: grey, lines, flat or other colours.

    It is also turned a little, and darker or lighter.
    """
    draw = np.random.default_rng(zlib.crc32(image.tobytes()))
    turned = image.rotate(draw.uniform(-15, 15), Image.Resampling.BILINEAR, fillcolor=WHITE)
    grey = ImageOps.grayscale(turned)
    hue, saturation, value = turned.convert("HSV").split()
    by = int(draw.integers(256))
    recoloured = (hue.point([(h + by) % 256 for h in range(256)]), saturation, value)
    styles = [
        grey,
        ImageOps.invert(grey.filter(ImageFilter.FIND_EDGES)),
        ImageOps.autocontrast(grey.filter(ImageFilter.CONTOUR)),
        ImageOps.posterize(turned, 2),
        ImageOps.solarize(turned, 128),
        Image.merge("HSV", recoloured),
    ]
    chosen = styles[int(draw.integers(len(styles)))].convert("RGB")
    contrasted = ImageEnhance.Contrast(chosen).enhance(draw.uniform(0.5, 1.5))
    return ImageEnhance.Brightness(contrasted).enhance(draw.uniform(0.7, 1.3))


def stylised_features(plan: Plan) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Features of the source images in other styles, in the order of the features, and labels.

    Images that extraction rejected are left out.
    """
    source = open_domain(plan, "source")
    row_id = source.row_id[source.ok]
    rows = read_manifest(plan.task.path).set_index("row_id", drop=False).loc[row_id]
    backbone = plan.params.backbone.load(plan.params.features.device)
    images = ImageDataset(
        rows,
        Path(plan.summary["root"]),
        lambda image: backbone.preprocess(stylised(image)),
        plan.params.features.max_pixels,
    )
    batches = encode_batches(backbone, load_batches(images, BATCH, 0, limit_s=60), Seconds())
    features = np.concatenate([encoded[batch.ok] for batch, encoded in batches])
    stored = getattr(torch, plan.params.features.dtype)
    return torch.from_numpy(features).to(stored), rows["label"].to_numpy(dtype=np.int64)


class Folds:
    """A split and its folds, in which the held-out images are there in another style, too."""

    def __init__(self, plan: Plan, features: torch.Tensor, labels: NDArray[np.int64]) -> None:
        self.split = Split.of(plan)
        inputs = self.split.inputs
        in_style = replace(
            inputs, source_features=features[torch.from_numpy(self.split.known[labels])]
        )
        self.folds = []
        both = (pseudo_folds(each, plan.params.train.selection) for each in (inputs, in_style))
        for here, there in zip(*both, strict=True):
            held = there.inputs.target_features[-len(here.labels) :]
            targets = torch.cat([here.inputs.target_features, held])
            self.folds.append(replace(here, inputs=replace(here.inputs, target_features=targets)))

    def values(self, name: str, settings: Settings) -> tuple[float, float, float]:
        """H on the target, on held-out source images, and on these in another style."""
        split = self.split
        method = fit(make_method(name, settings, 0), split.inputs)
        scores = score_target(method, split.inputs.target_features)
        held = []
        for fold in self.folds:
            targets, n = fold.inputs.target_features, len(fold.labels)
            method = fit(make_method(name, settings, 0), fold.inputs)
            found = score_target(method, targets)
            held.append(
                [
                    class_mean_h(part, fold.labels, fold.known)
                    for part in (found[-2 * n : -n], found[-n:])
                ]
            )
        plain, in_style = np.mean(held, axis=0)
        return class_mean_h(scores, split.labels, split.known), plain, in_style


def regrets(values: NDArray[np.float64]) -> dict[str, float]:
    """Points of H below the best candidate, by rule; ``values`` is ``(n_candidates, 3)``."""
    on_target, plain, in_style = 100 * values.T
    chosen = {
        "last": 0,
        "held-out": np.argmax(plain),
        "stylised": np.argmax(in_style),
        "both": np.argmax(plain + in_style),
    }
    best = on_target.max()
    return {"best": best} | {rule: best - on_target[number] for rule, number in chosen.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--splits", type=int, help="look at the first so many splits only")
    parser.add_argument("--methods", default=",".join(CANDIDATES))
    arguments = parser.parse_args()
    names = arguments.methods.split(",")
    if unknown := set(names) - set(CANDIDATES):
        parser.error(f"there are no candidates for {', '.join(sorted(unknown))}")
    try:
        measure(Plan(load_params(arguments.params)), names, arguments.splits)
    except SreclipError as error:
        parser.error(str(error))


def measure(plan: Plan, names: list[str], most: int | None) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    features, labels = stylised_features(plan)
    splits = [Folds(each, features, labels) for each in plans_of(plan, most)]
    print(f"{plan.params.task.name}, splits: {len(splits)}; commit {commit()}.\n")
    print("| method | candidates | best H | last | held-out | stylised | both |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in names:
        settings = plan.params.methods.settings(name)
        candidates = [settings.changed(overrides) for overrides in CANDIDATES[name]]
        found = [
            regrets(np.array([split.values(name, candidate) for candidate in candidates]))
            for split in splits
        ]
        means = {key: np.mean([each[key] for each in found]) for key in found[0]}
        cells = " | ".join(f"{value:.1f}" for value in means.values())
        print(f"| `{name}` | {len(candidates)} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
