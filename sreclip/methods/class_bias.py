"""Zero-shot logits with a bias per class, from the class shares of the target."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sreclip.config.training_free import ClassBiasSettings
from sreclip.methods.base import Method
from sreclip.methods.data import FitData
from sreclip.methods.transductive import zero_shot_candidates
from sreclip.refinement.class_bias import ClassBias as State
from sreclip.refinement.class_bias import class_bias


class BiasMethod(Method):
    """A method whose fit finds ``state_``, a bias per class for the zero-shot logits."""

    transductive = True
    deterministic = True
    state_: State

    def _logits(self, features: Tensor) -> Tensor:
        return self.text_.zero_shot_logits(features) + self.state_.bias

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        self.state_ = State.from_tensors(state)

    def _state(self) -> dict[str, Tensor]:
        return {**super()._state(), **self.state_.tensors()}


class ClassBias(BiasMethod):
    """``s f.w_c + strength b_c``, b the transport of the target onto class shares.

    The bias is that of OTTER (Shin et al., NeurIPS 2024), see `sreclip.refinement.class_bias`.
    Deviations from the original: the transport is entropic, with the softmax of the logits; shares
    are not given but equal, or found by EM, or in between; only a part of the bias is added.
    """

    title = "class bias"
    citation = "after Shin et al., NeurIPS 2024"
    settings: ClassBiasSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        candidates = zero_shot_candidates(data.target_features, data.text)
        self.state_ = class_bias(candidates, self.settings.strength, self.settings.uniform)
