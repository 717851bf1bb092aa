"""An image tower as a module that other programs can run."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from sreclip.backbones.pixels import Scaling
from sreclip.backbones.weights import unit_rows


class ImageTower(nn.Module):
    """Pixels as a backbone's `preprocess` leaves them to unit-norm rows, ``(n_images, dim)``.

    In float32, and without ``inference_mode``, which stops an export. ``encode`` maps scaled pixels
    to features by the parameters of ``model``.
    """

    def __init__(
        self, model: nn.Module, encode: Callable[[Tensor], Tensor], scaling: Scaling | None
    ) -> None:
        super().__init__()
        self.model, self.encode, self.scaling = model, encode, scaling

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode ``(n_images, 3, height, width)``."""
        return unit_rows(self.encode(self.scaling(pixels) if self.scaling else pixels))
