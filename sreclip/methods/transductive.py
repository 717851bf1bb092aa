"""Methods that label the target images of the fit, all at once, and no others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sreclip.errors import FitError
from sreclip.methods.base import Method
from sreclip.methods.data import FitData
from sreclip.methods.logits import Block


class TransductiveMethod(Method):
    """A method whose fit gives the logits of its target images; nothing else is learned."""

    transductive = True
    deterministic = True

    @abstractmethod
    def _label(self, data: FitData) -> Callable[[], Iterator[Block]]:
        """Return what yields the logits of the fit's target images, each image and class once."""

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        self._target_features = data.target_features
        self._target_blocks = self._label(data)

    def _blocks(self, features: Tensor) -> Iterator[Block]:
        """Return the logits of the fit's target features; others have no prediction."""
        fitted = self._target_features
        if features is not fitted and not (
            features.dtype == fitted.dtype
            and features.device == fitted.device
            and torch.equal(features, fitted)
        ):
            raise FitError(
                f"{self.title} labels only the {len(fitted)} target images of its fit, "
                "in their order",
                "fit it again with the images to label as the target",
            )
        return self._target_blocks()
