"""ZLaP: label propagation from class texts to the target images."""

from __future__ import annotations

from sreclip.config.training_free import ZlapSettings
from sreclip.methods.data import FitData
from sreclip.methods.logits import widened
from sreclip.methods.transductive import Labels, TransductiveMethod
from sreclip.refinement.joined import Joined
from sreclip.refinement.neighbours import neighbour_search
from sreclip.refinement.zlap import zlap


class Zlap(TransductiveMethod):
    """Label propagation on the kNN graph of texts and images (Stojnic et al., CVPR 2024).

    The transductive form with text classifiers, and the inductive one for images that were not in
    the fit; see `sreclip.refinement.zlap` for the formulas.

    Deviation from the original: logits are the logarithms of its scores, floored at 1e-12, so that
    a softmax gives the scores divided by their sum. The order of classes is the same.
    """

    title = "ZLaP"
    citation = "Stojnic et al., CVPR 2024"
    settings: ZlapSettings
    state_type = Joined

    def _label(self, data: FitData) -> Labels:
        settings, features = self.settings, widened(data.target_features)
        found, state = zlap(
            features,
            data.text.features,
            settings.k,
            settings.gamma,
            settings.alpha,
            settings.tolerance,
            neighbour_search(settings.neighbours),
        )
        return Labels(found.blocks, state)
