"""Saved models for other programs: ONNX, or the matrix of a linear classifier."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sreclip.errors import ConfigError
from sreclip.files import atomic_path
from sreclip.methods.base import Method
from sreclip.methods.transductive import TransductiveMethod
from sreclip.model.backbone import PRECOMPUTED
from sreclip.model.formulas import scored_by

if TYPE_CHECKING:
    from sreclip.model.model import Model
    from sreclip.model.scorer import Scorer

OPSET = 18
INSTALL = "pip install 'sreclip[onnx]'"
# Of the logits of random features, relative to their spread.
LINEAR = 1e-4
CHECKED_ROWS = 64
# Of a file of ONNX, less than 2 GiB: the graph needs some room beside the weights.
MOST_BYTES = 2**31 - 2**26


class Head(nn.Module):
    """``features (n, dim) -> probabilities (n, n_classes)``: a saved model without its images.

    Raises
    ------
    ConfigError
        The model scores an image by the others of its batch.
    """

    def __init__(self, scorer: Scorer, title: str) -> None:
        super().__init__()
        self.states = scorer.states
        if any(method.batch_dependent for method, _ in self.states):
            raise ConfigError(
                f"{title} has no export: it scores an image by the others of its batch",
                "export another method, such as sre_clip, or use: sreclip predict",
            )

    def forward(self, features: Tensor) -> Tensor:
        """Return probabilities of unit-norm features."""
        own = [self._log_p(*state, features) for state in self.states]
        return torch.stack(own).mean(dim=0).softmax(dim=1)

    def logits(self, features: Tensor) -> Tensor:
        """Return the mean logits of the seeds."""
        return torch.stack([self._logits(*state, features) for state in self.states]).mean(dim=0)

    def _log_p(self, method: Method, steps: list[Any], features: Tensor) -> Tensor:
        return self._logits(method, steps, features).log_softmax(dim=1)

    def _logits(self, method: Method, steps: list[Any], features: Tensor) -> Tensor:
        if isinstance(method, TransductiveMethod):
            frozen = method.text_.zero_shot_logits(features)
            logits = scored_by(method._labels.state, features, frozen)
        else:
            logits = method._logits(features)
        logits = logits + method.bias_
        adapted = method.image_features(features) if steps else features
        for step in steps:
            logits = scored_by(step, adapted, logits)
        return logits


def export_head(model: Model, path: Path) -> None:
    """Write the head as ONNX, ``features`` -> ``probabilities``, for any number of images.

    Class names and the model's key are in the metadata of the file.

    Raises
    ------
    ConfigError
        The method has no such head, or what exports is not installed.
    """
    head = Head(model.scorer, model.saved.title)
    features = nn.functional.normalize(torch.randn(3, model.saved.dim), dim=1)
    about = {"classes": json.dumps(model.classes), "key": model.saved.key}
    _export(head, features, "features", "probabilities", about, path)


def export_tower(model: Model, path: Path) -> None:
    """Write the image tower as ONNX, ``pixels`` -> ``features``, for any number of images.

    Pixels are ``(n, 3, height, width)`` as the preprocessing leaves them before they are scaled,
    uint8 (a model whose preprocessing cannot be cut there: scaled, float32); the metadata of the
    file says which, and the preprocessing in words. Features are what the head takes.

    Raises
    ------
    ConfigError
        The model has no image tower, or one too large for a file; the backbone cannot be loaded,
        or what exports is not installed.
    """
    saved = model.saved
    if saved.backbone["name"] == PRECOMPUTED:
        raise ConfigError(
            f"{saved.title} was fitted on features that were made elsewhere: it has no image tower",
            "export the head alone, with --onnx",
        )
    backbone = model.backbone
    side = 2 * backbone.image_size
    pixels = backbone.preprocess(Image.new("RGB", (side, side)))
    tower = backbone.image_tower()
    about = {
        "input": f"pixels, {str(pixels.dtype).removeprefix('torch.')}, (n, 3, height, width), RGB",
        "size": json.dumps(list(pixels.shape[1:])),
        "preprocessing": backbone.preprocessing,
        "backbone": backbone.label,
        "weights_sha256": backbone.weights_sha256,
        "key": saved.key,
    }
    _export(tower, pixels.expand(3, *pixels.shape).clone(), "pixels", "features", about, path)


def _export(
    module: nn.Module,
    example: Tensor,
    takes: str,
    gives: str,
    about: Mapping[str, str],
    path: Path,
) -> None:
    """Write a module of one input and one output, whose first dimension may have any size."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad(), atomic_path(path) as temporary:
            warnings.simplefilter("ignore")
            module(example)  # what is made at first use is made outside of the export
            program = torch.onnx.export(
                module.eval(),
                (example,),
                input_names=[takes],
                output_names=[gives],
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
                verbose=False,
            )
            assert program is not None
            program.model.metadata_props.update(about)
            weights = program.model.graph.initializers.values()
            size = sum(each.const_value.nbytes for each in weights if each.const_value)
            if size > MOST_BYTES:
                raise ConfigError(
                    f"{path}: the weights are {size / 2**30:.1f} GiB, and an ONNX file holds 2 GiB",
                    "export the head alone, and make the features with open_clip",
                )
            program.save(temporary, external_data=False)
    except ImportError as error:
        raise ConfigError(f"ONNX needs the package {error.name}", INSTALL) from error


def export_classifier(model: Model, path: Path) -> None:
    """Write ``weight (n_classes, dim)``, ``bias (n_classes,)`` and ``classes`` as ``.npz``.

    With them the logits of unit-norm features f are ``weight f + bias``.

    Raises
    ------
    ConfigError
        The logits are no linear function of the features.
    """
    head, dim = Head(model.scorer, model.saved.title), model.saved.dim
    with torch.inference_mode():
        zero = head.logits(torch.zeros(1, dim))
        bias = zero[0].double()
        weight = (head.logits(torch.eye(dim)) - zero).T.double()
        generator = torch.Generator().manual_seed(0)
        rows = torch.randn(CHECKED_ROWS, dim, generator=generator)
        rows = nn.functional.normalize(rows, dim=1)
        wanted = head.logits(rows).double()
        found = rows.double() @ weight.T + bias
    if (found - wanted).abs().max() > LINEAR * wanted.std().clamp_min(1):
        raise ConfigError(
            f"{model.saved.title} is no linear classifier of the features",
            "export it as ONNX: sreclip export MODEL --onnx FILE",
        )
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        names = np.array(model.classes)
        np.savez(file, weight=weight.float().numpy(), bias=bias.float().numpy(), classes=names)
