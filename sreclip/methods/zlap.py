"""ZLaP: label propagation from class texts to the target images."""

from __future__ import annotations

from functools import partial

from sreclip.config.training_free import ZlapSettings
from sreclip.methods.data import FitData
from sreclip.methods.logits import widened
from sreclip.methods.transductive import Labels, TransductiveMethod
from sreclip.refinement.neighbours import neighbour_search
from sreclip.refinement.zlap import normalized_graph, solve_blocks


class Zlap(TransductiveMethod):
    """Label propagation on the kNN graph of texts and images (Stojnic et al., CVPR 2024).

    The transductive form with text classifiers; see `sreclip.refinement.zlap` for the formula.

    Deviation from the original: logits are the logarithms of its scores, floored at 1e-12, so that
    a softmax gives the scores divided by their sum. The order of classes is the same.
    """

    title = "ZLaP"
    citation = "Stojnic et al., CVPR 2024"
    settings: ZlapSettings

    def _label(self, data: FitData) -> Labels:
        settings, text = self.settings, data.text.features
        search = neighbour_search(settings.neighbours)
        features = widened(data.target_features)
        graph = normalized_graph(features, text, settings.k, settings.gamma, search)
        return Labels(partial(solve_blocks, graph, len(text), settings.alpha, settings.tolerance))
