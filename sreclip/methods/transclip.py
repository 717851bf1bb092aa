"""TransCLIP, zero-shot form, on the frozen model's features and logits."""

from __future__ import annotations

from sreclip.config.training_free import TransClipSettings
from sreclip.methods.data import FitData
from sreclip.methods.logits import widened
from sreclip.methods.transductive import Labels, TransductiveMethod, zero_shot_candidates
from sreclip.refinement.gaussians import Gaussians
from sreclip.refinement.neighbours import neighbour_search
from sreclip.refinement.transclip import transclip


class TransClip(TransductiveMethod):
    """Gaussian mixture, Laplacian and KL to the text (Zanella, Gerin, Ben Ayed; NeurIPS 2024).

    The update rules and their deviations from the original are those of
    `sreclip.refinement.transclip`; here they start from the zero-shot logits. Logits are the
    logarithms of the assignments. Other images are scored by the Gaussians, without a Laplacian.
    """

    title = "TransCLIP"
    citation = "Zanella et al., NeurIPS 2024"
    settings: TransClipSettings
    state_type = Gaussians

    def _label(self, data: FitData) -> Labels:
        predictions = zero_shot_candidates(data.target_features, data.text)
        search = neighbour_search(self.settings.neighbours)
        found, state = transclip(widened(data.target_features), predictions, search)
        return Labels(found.blocks, state)
