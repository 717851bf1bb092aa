"""StatA on the frozen model's features, texts and logits."""

from __future__ import annotations

from sreclip.config.training_free import StatASettings
from sreclip.methods.data import FitData
from sreclip.methods.logits import widened
from sreclip.methods.transductive import Labels, TransductiveMethod, zero_shot_candidates
from sreclip.refinement.gaussians import Gaussians
from sreclip.refinement.neighbours import neighbour_search
from sreclip.refinement.stata import stata


class StatA(TransductiveMethod):
    """Gaussians with a statistical anchor at the class texts (Zanella et al., CVPR 2025).

    The update rules and their deviations from the original are those of
    `sreclip.refinement.stata`. Logits are the logarithms of the assignments. Other images are
    scored by the Gaussians, without a Laplacian.
    """

    title = "StatA"
    citation = "Zanella et al., CVPR 2025"
    settings: StatASettings
    state_type = Gaussians

    def _label(self, data: FitData) -> Labels:
        features = widened(data.target_features)
        predictions = zero_shot_candidates(features, data.text)
        search = neighbour_search(self.settings.neighbours)
        found, state = stata(features, data.text.features, predictions, search)
        return Labels(found.blocks, state)
