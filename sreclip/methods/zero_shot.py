"""Zero-shot CLIP: the frozen model's own logits."""

from __future__ import annotations

import torch
from torch import Tensor

from sreclip.config.training_free import ZeroShotSettings
from sreclip.methods.base import Method
from sreclip.methods.data import FitData


class ZeroShot(Method):
    """Frozen class vectors times frozen features, ``s f.w_c`` (Radford et al., ICML 2021)."""

    title = "Zero-shot"
    citation = "Radford et al., ICML 2021"
    deterministic = True
    settings: ZeroShotSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        """Nothing is learned."""

    def _logits(self, features: Tensor) -> Tensor:
        return self.text_.zero_shot_logits(features)
