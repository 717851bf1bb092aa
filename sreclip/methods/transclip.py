"""TransCLIP, zero-shot form, on the frozen model's features and logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sreclip.config.methods import TransClipSettings
from sreclip.methods.data import FitData
from sreclip.methods.logits import Block, score_in_blocks, widened
from sreclip.methods.transductive import TransductiveMethod
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.neighbours import neighbour_search
from sreclip.refinement.transclip import transclip


class TransClip(TransductiveMethod):
    """Gaussian mixture, Laplacian and KL to the text (Zanella, Gerin, Ben Ayed; NeurIPS 2024).

    The update rules and their deviations from the original are those of
    `sreclip.refinement.transclip`; here they start from the zero-shot logits. Logits are the
    logarithms of the assignments.
    """

    title = "TransCLIP"
    citation = "Zanella et al., NeurIPS 2024"
    settings: TransClipSettings

    def _label(self, data: FitData) -> Callable[[], Iterator[Block]]:
        features, n_classes = widened(data.target_features), len(data.text.features)
        zero_shot = score_in_blocks(data.text.zero_shot_logits, features, n_classes)
        predictions = Candidates.from_blocks(zero_shot, len(features), n_classes)
        search = neighbour_search(self.settings.neighbours)
        return transclip(features, predictions, search).blocks
