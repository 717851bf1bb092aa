"""ECALP: label propagation from class texts and source images to the target images."""

from __future__ import annotations

from sreclip.config.training_free import EcalpSettings
from sreclip.methods.data import FitData
from sreclip.methods.transductive import Labels, TransductiveMethod
from sreclip.refinement.ecalp import ecalp
from sreclip.refinement.joined import Joined
from sreclip.refinement.neighbours import neighbour_search


class Ecalp(TransductiveMethod):
    """Context-aware label propagation on a graph of all images and texts (Li et al., ICLR 2025).

    See `sreclip.refinement.ecalp` for the formula.

    Deviations from the original: the target images are in the graph all at once; logits are the
    logarithms of the scores, floored at 1e-12; ``balanced``; and ``calibration``. An unknown class
    has no source image, while a known one gains from up to ``source_k`` for every image, and next
    to no image would go to an unknown class.
    """

    title = "ECALP"
    citation = "Li et al., ICLR 2025"
    settings: EcalpSettings
    state_type = Joined

    def _label(self, data: FitData) -> Labels:
        settings = self.settings
        found, state = ecalp(
            data.target_features,
            data.text.features,
            data.source_features,
            data.source_labels,
            (settings.text_k, settings.source_k, settings.target_k),
            settings.power,
            settings.rounds,
            settings.balanced,
            neighbour_search(settings.neighbours),
        )
        return Labels(found.blocks, state)
