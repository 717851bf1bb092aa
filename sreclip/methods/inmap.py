"""InMaP: class vectors in the space of images, from balanced pseudo labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sreclip.config.training_free import InMapSettings
from sreclip.methods.base import Method
from sreclip.methods.data import FitData
from sreclip.methods.transductive import zero_shot_candidates
from sreclip.refinement.inmap import ClassVectors, inmap


class InMap(Method):
    """``s/4 f.v_c``, v fitted to pseudo labels of the target (Qian et al., NeurIPS 2023).

    See `sreclip.refinement.inmap` for the steps; here they start from the zero-shot predictions.
    Images are scored with the temperature that v is fitted with, 0.04 where CLIP's is 0.01.
    """

    title = "InMaP"
    citation = "Qian et al., NeurIPS 2023"
    transductive = True
    deterministic = True
    settings: InMapSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        self.state_ = inmap(
            data.target_features,
            data.text.features,
            zero_shot_candidates(data.target_features, data.text),
            data.text.logit_scale,
            self.settings.steps,
            self.settings.gamma,
            self._recorded,
        )

    def _recorded(self, step: int, total: int, loss: Tensor) -> None:
        self._record(step, total, {"pseudo_labels": (1.0, float(loss))})

    def _logits(self, features: Tensor) -> Tensor:
        return self.state_.logits(features)

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        self.state_ = ClassVectors.from_tensors(state)

    def _state(self) -> dict[str, Tensor]:
        return {**super()._state(), **self.state_.tensors()}
