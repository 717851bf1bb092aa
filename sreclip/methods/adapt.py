"""ADAPT, transductive form, on the frozen model's features, texts and logits."""

from __future__ import annotations

from sreclip.config.training_free import AdaptSettings
from sreclip.methods.data import FitData
from sreclip.methods.logits import widened
from sreclip.methods.transductive import Labels, TransductiveMethod, zero_shot_candidates
from sreclip.refinement.adapt import LinearGaussians, adapt


class Adapt(TransductiveMethod):
    """Gaussians of one covariance from a bank of sure target images (NeurIPS 2025).

    The formulas are those of `sreclip.refinement.adapt`. Deviation from the original: one
    ``temperature`` for all data sets; the authors set it for each on labels. Other images are
    scored by the same Gaussians.
    """

    title = "ADAPT"
    citation = "NeurIPS 2025, arXiv 2508.15568"
    settings: AdaptSettings
    state_type = LinearGaussians

    def _label(self, data: FitData) -> Labels:
        settings, features = self.settings, widened(data.target_features)
        predictions = zero_shot_candidates(features, data.text)
        state = adapt(
            features, data.text.features, predictions, settings.per_class, settings.temperature
        )
        return Labels(state(features, predictions).blocks, state)
