"""Images as a fitted method compares them, worked out without torch from its saved state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.plan.plan import Plan
from sreclip.train.states import SavedFit

Features = NDArray[np.float64]
State = Mapping[str, Features]
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Images:
    """Features of some images of both domains, ``(n, dim)``, and the classes of the source's."""

    source: Features
    target: Features
    source_classes: NDArray[np.int64]


def adapted(plan: Plan, method: str, seed: int, images: Images) -> tuple[Images, str] | None:
    """Return the images as a method compares them, and in words what it does to them.

    None for a method that compares frozen features, where evaluation chose among fits, and where
    the tensors of the fit are not on this machine. Raises `StoreError` where they are damaged.
    """
    how, candidates = MOVES.get(method), plan.candidates(method)
    fit = candidates[0].fit(method)
    if how is None or len(candidates) > 1 or not fit["model.safetensors"].exists():
        return None
    settings, state = SavedFit(fit["model.safetensors"], fit.key).arrays(seed)
    return how(settings, {name: each.astype(np.float64) for name, each in state.items()}, images)


def _by_sre_clip(settings: Settings, state: State, images: Images) -> tuple[Images, str] | None:
    r"""Whiten all images, f T, and move the source by the mean shift of the known classes.

    Where the fit puts the known classes follows from :math:`v_c = 2 r_c T T^t \mu_c`.
    """
    if "whitener" not in state or settings["steps"]:
        return None
    whitener, radii = state["whitener"], state["radii"]
    source, target = images.source @ whitener, images.target @ whitener
    known = np.unique(images.source_classes)
    known = known[radii[known] > 0]
    if not len(known):
        return None
    placed = np.linalg.lstsq(whitener, (state["vectors"][known] / (2 * radii[known, None])).T)[0].T
    means = np.stack([source[images.source_classes == c].mean(axis=0) for c in known])
    moved = source + (placed - means).mean(axis=0)
    words = "whitened within classes, and the source moved by the mean shift of the known classes"
    return Images(moved, target, images.source_classes), words


def _by_clip_adapter(settings: Settings, state: State, images: Images) -> tuple[Images, str]:
    """Return ``norm(ratio ReLU(W2 ReLU(W1 f)) + (1 - ratio) f)``."""
    first, second, ratio = state["first.weight"], state["second.weight"], settings["ratio"]

    def moved(features: Features) -> Features:
        hidden = np.maximum(features @ first.T, 0)
        mixed = ratio * np.maximum(hidden @ second.T, 0) + (1 - ratio) * features
        return mixed / np.linalg.norm(mixed, axis=1, keepdims=True).clip(1e-12)

    words = "behind its adapter"
    return Images(moved(images.source), moved(images.target), images.source_classes), words


MOVES: dict[str, Callable[[Settings, State, Images], tuple[Images, str] | None]] = {
    "sre_clip": _by_sre_clip,
    "clip_adapter": _by_clip_adapter,
}
