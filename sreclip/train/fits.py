"""One fit: make the method, fit it, score the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sreclip.config.methods import Settings
from sreclip.methods import METHODS
from sreclip.methods.scores import ImageScores
from sreclip.registry import load_registered
from sreclip.train.inputs import FitInputs

if TYPE_CHECKING:
    import torch

    from sreclip.methods.base import Method, Progress


def make_method(
    name: str, settings: Settings, seed: int, progress: Progress | None = None
) -> Method:
    """Construct a registered method."""
    return load_registered("method", name, METHODS)(settings, seed=seed, progress=progress)


def fit(method: Method, inputs: FitInputs) -> Method:
    """Fit a method on the inputs and return it."""
    return method.fit(
        inputs.source_features,
        inputs.source_labels,
        inputs.target_features,
        inputs.text,
        inputs.graph,
    )


def score_target(method: Method, features: torch.Tensor) -> ImageScores:
    """Score the target of a fit, refined as the method's settings say.

    Parameters
    ----------
    method : Method
        Fitted.
    features : Tensor
        The target features of the fit, ``(n_target, dim)``.
    """
    import torch

    from sreclip.methods.logits import collect
    from sreclip.refinement.refine import refine

    settings, known = method.settings, method.text_.known
    blocks = method.logit_blocks(features)
    with torch.inference_mode():
        if settings.refine != "none":
            adapted = method.image_features(features)
            blocks = refine(settings.refine, adapted, blocks, len(known), settings.neighbours)
        return collect(blocks, len(features), known)
