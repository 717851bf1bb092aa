"""Zero-shot CLIP: the frozen model's own logits."""

from __future__ import annotations

import torch
from torch import Tensor

from sreclip.methods.base import FitData, Method, Progress


class ZeroShot(Method):
    """Frozen class vectors times frozen features, ``s f.w_c`` (Radford et al., ICML 2021)."""

    title = "Zero-shot"
    citation = "Radford et al., ICML 2021"
    transductive = False
    deterministic = True

    def __init__(self, seed: int = 0, progress: Progress | None = None) -> None:
        super().__init__()
        self.seed = seed
        self.progress = progress

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        """Nothing is learned."""

    def _logits(self, features: Tensor) -> Tensor:
        return self.text_.zero_shot_logits(features)

    def state(self) -> dict[str, Tensor]:
        """Class vectors."""
        return {"text": self.text_.features}
