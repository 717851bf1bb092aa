"""Pixels as the bytes that they are until they are on the device that the model runs on.

Bytes are a quarter of the same pixels in float32, between processes and on the way to a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image


class Scaling:
    """Bytes to what a model reads: ``(x / 255 - mean) / std`` per channel, float32.

    The operations and their order are those of torchvision's ``ToTensor`` and ``Normalize``, and
    so is every bit of the result on a CPU.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], device: torch.device | None = None
    ) -> None:
        self.mean, self.std = (
            torch.tensor(values).view(-1, 1, 1).to(device) for values in (mean, std)
        )

    def __call__(self, pixels: Tensor) -> Tensor:
        """Scale ``(n_images, 3, height, width)`` uint8; float pixels are ready and stay."""
        if pixels.dtype != torch.uint8:
            return pixels
        return pixels.float().div_(255).sub_(self.mean).div_(self.std)


def in_bytes(
    transform: Callable[[Image], Tensor], device: torch.device | None = None
) -> tuple[Callable[[Image], Tensor], Scaling | None]:
    """Cut a transform of RGB images into one that ends in uint8 pixels and the rest, the scaling.

    A transform that does not end in ``ToTensor`` and ``Normalize`` comes back as it is, with None.
    """
    from torchvision.transforms import Compose, Normalize, PILToTensor, ToTensor

    match getattr(transform, "transforms", None):
        case [*first, ToTensor(), Normalize(mean=mean, std=std)]:
            return Compose([*first, PILToTensor()]), Scaling(mean, std, device)
        case _:
            return transform, None
