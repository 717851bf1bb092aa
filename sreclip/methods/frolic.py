"""Frolic's debiasing of zero-shot logits."""

from __future__ import annotations

import torch

from sreclip.config.training_free import FrolicSettings
from sreclip.methods.class_bias import BiasMethod
from sreclip.methods.data import FitData
from sreclip.methods.transductive import zero_shot_candidates
from sreclip.refinement.class_bias import ClassBias as State
from sreclip.refinement.frolic import frolic


class Frolic(BiasMethod):
    """``s f.w_c - log pi_c``, pi the prior that the model's own predictions imply.

    See `sreclip.refinement.frolic` for the fixed point. Frolic (NeurIPS 2024) has two parts more,
    prompt distributions and a fusion of classifiers, which need other inputs than cached features.
    """

    title = "Frolic debiasing"
    citation = "NeurIPS 2024, arXiv 2410.19294"
    settings: FrolicSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        candidates = zero_shot_candidates(data.target_features, data.text)
        self.state_: State = frolic(candidates, self.settings.rounds)
