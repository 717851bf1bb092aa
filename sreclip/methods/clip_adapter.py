"""CLIP-Adapter on the image side."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.config.methods import ClipAdapterSettings
from sreclip.methods.base import Method
from sreclip.methods.data import FitData
from sreclip.methods.logits import widened


class ClipAdapter(Method):
    """``f' = ratio ReLU(W2 ReLU(W1 f)) + (1 - ratio) f`` (Gao et al., IJCV 2024).

    Deviations from the original: trained on cached features without augmentation, the softmax of
    the source cross-entropy is over the known classes only, Adam as the optimizer.
    """

    title = "CLIP-Adapter"
    citation = "Gao et al., IJCV 2024"
    settings: ClipAdapterSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        settings, text = self.settings, data.text.features
        dim = text.shape[1]
        width = max(1, dim // settings.reduction)
        first, second = nn.Linear(dim, width, bias=False), nn.Linear(width, dim, bias=False)
        self.adapter_ = nn.Sequential(first, nn.ReLU(), second, nn.ReLU()).to(text.device)
        optimizer = torch.optim.Adam(self.adapter_.parameters(), lr=settings.lr)
        terms = self._source_loss(data, settings.batch_size, generator)
        self._minimize(optimizer, terms, settings.steps)

    def image_features(self, features: Tensor) -> Tensor:
        """Return ``f'``, normalized."""
        features, ratio = widened(features), self.settings.ratio
        return F.normalize(ratio * self.adapter_(features) + (1 - ratio) * features, dim=1)

    def _logits(self, features: Tensor) -> Tensor:
        return self.text_.zero_shot_logits(self.image_features(features))

    def _state(self) -> dict[str, Tensor]:
        return {**self.adapter_.state_dict(), **super()._state()}
