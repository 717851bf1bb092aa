"""What a step is held against beside a plain loop: its matrix products alone, and re-encoding."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sreclip.config.methods import SreClipReferenceSettings
from sreclip.train.fits import FitInputs

PIXELS = 224


class ReferenceProducts:
    """The matrix products that a step of the reference cannot do without, on ready tensors.

    Forward, and backward the gradients that are needed: weights of every layer, inputs of all but
    the first. Of the products of class with class those are counted that some image asks for, of
    the hidden rows of the graph convolution those that some class takes in.
    Adapter and graph convolution are in the precision of the settings.
    """

    def __init__(self, inputs: FitInputs, settings: SreClipReferenceSettings) -> None:
        node_dim, n_near = inputs.graph.node_features.shape[1], len(inputs.graph.near_nodes)
        n_classes, dim = inputs.text.features.shape
        width, gcn_width, bank = settings.width, settings.gcn_width, settings.bank_size
        n_source = min(settings.batch_size, len(inputs.source_features))
        n_target = min(settings.batch_size, len(inputs.target_features))
        low = getattr(torch, settings.precision)

        def adapter(n: int) -> list[tuple[Tensor, Tensor, Tensor]]:
            linear = [products(n, dim, width, low, of_input=False) for _ in range(3)]
            attention = [products(n, width, n, low), products(n, n, width, low)]
            return [product for group in (*linear, *attention) for product in group]

        self.warm_up = [
            *products(n_near, node_dim, gcn_width, low, of_input=False),
            *products(n_classes, gcn_width, width, low),
            *products(min(n_classes, n_source), width, n_classes),
            *adapter(n_source),
            *products(n_source, width, n_classes),
        ]
        self.all = [
            *self.warm_up,
            *adapter(n_target),
            *products(n_target, width, n_classes),
            *products(bank, width, n_classes, of_input=False),
        ]
        self.warmup_steps, self.n_steps = settings.warmup_steps, 0

    @torch.no_grad()
    def step(self) -> None:
        for a, b, out in self.warm_up if self.n_steps < self.warmup_steps else self.all:
            torch.mm(a, b, out=out)
        self.n_steps += 1


def products(
    n: int,
    n_in: int,
    n_out: int,
    dtype: torch.dtype = torch.float32,
    *,
    of_input: bool = True,
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """``x W^T`` and its gradients, x ``(n, n_in)``: two factors and the place for the product."""
    x, weight = torch.randn(n, n_in).to(dtype), torch.randn(n_out, n_in).to(dtype)
    above = torch.randn(n, n_out).to(dtype)
    found = [(x, weight.T, torch.empty_like(above)), (above.T, x, torch.empty_like(weight))]
    if of_input:
        found.append((above, weight, torch.empty_like(x)))
    return found


class Encoder:
    """The frozen image encoder, with random weights: they do not change its time."""

    def __init__(self, name: str, n_images: int) -> None:
        self.model = _random_model(name)
        self.images = torch.randn(n_images, 3, PIXELS, PIXELS)

    @torch.inference_mode()
    def step(self) -> None:
        """Encode one batch."""
        self.model.encode_image(self.images)


@cache
def _random_model(name: str) -> Any:
    import open_clip

    # open_clip warns that the weights are random.
    logging.disable(logging.WARNING)
    try:
        return open_clip.create_model(name, pretrained=None).eval()
    finally:
        logging.disable(logging.NOTSET)
