"""CLIP-Adapter on the image side."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.config.methods import ClipAdapterSettings
from sreclip.methods.logits import widened
from sreclip.methods.source_only import SourceOnlyMethod


class Bottleneck(nn.Module):
    """``ReLU(W2 ReLU(W1 f))`` mixed with f; of `stacked` ones, each for its own features."""

    def __init__(self, dim: int, width: int, ratio: float) -> None:
        super().__init__()
        self.ratio = ratio
        self.first = nn.Linear(dim, width, bias=False)
        self.second = nn.Linear(width, dim, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Adapt ``(..., n_images, dim)``; the result is not normalized."""
        hidden = F.relu(features @ self.first.weight.mT)
        return torch.lerp(features, F.relu(hidden @ self.second.weight.mT), self.ratio)


class ClipAdapter(SourceOnlyMethod):
    """``f' = ratio ReLU(W2 ReLU(W1 f)) + (1 - ratio) f`` (Gao et al., IJCV 2024).

    Deviations from the original: trained on cached features without augmentation, the softmax of
    the source cross-entropy is over the known classes only, Adam as the optimizer.
    """

    title = "CLIP-Adapter"
    citation = "Gao et al., IJCV 2024"
    settings: ClipAdapterSettings

    def _adapter(self, text: Tensor) -> nn.Module:
        dim = text.shape[1]
        width = max(1, dim // self.settings.reduction)
        return Bottleneck(dim, width, self.settings.ratio)

    def image_features(self, features: Tensor) -> Tensor:
        """Return ``f'``, normalized."""
        return F.normalize(self.adapter_(widened(features)), dim=1)

    def _scores(self, adapter: nn.Module, features: Tensor) -> Tensor:
        adapted = adapter(features)
        # Logits are divided instead of features, which are wider.
        lengths = torch.linalg.vector_norm(adapted, dim=-1, keepdim=True).clamp_min(1e-12)
        return adapted @ self.text_.features.T * (self.text_.logit_scale / lengths)

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        text = self.text_.features
        self.adapter_ = self._adapter(text).to(text.device)
        self.adapter_.load_state_dict({name: state[name] for name in self.adapter_.state_dict()})

    def _state(self) -> dict[str, Tensor]:
        return {**self.adapter_.state_dict(), **super()._state()}
