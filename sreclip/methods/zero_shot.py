"""Zero-shot CLIP: the frozen model's own logits."""

from __future__ import annotations

from typing import Self

from torch import Tensor

from sreclip.methods.base import ClassGraph, ClassText, Method, check_inputs


class ZeroShot(Method):
    """Frozen class vectors times frozen features, ``s f.w_c`` (Radford et al., ICML 2021)."""

    title = "Zero-shot"
    citation = "Radford et al., ICML 2021"
    transductive = False

    def __init__(self, seed: int = 0, progress: object = None) -> None:
        super().__init__()
        self.seed = seed

    def fit(
        self,
        source_features: Tensor,
        source_labels: Tensor,
        target_features: Tensor,
        text: ClassText,
        graph: ClassGraph,
    ) -> Self:
        """Keep the class vectors; nothing is learned."""
        check_inputs(source_features, source_labels, target_features, text, graph)
        self.text_ = text
        self.history_ = []
        return self

    def _logits(self, features: Tensor) -> Tensor:
        return self.text_.zero_shot_logits(features)

    def state(self) -> dict[str, Tensor]:
        """Class vectors."""
        return {"text": self.text_.features}
