"""TransCLIP, zero-shot form, on the frozen model's features and logits."""

from __future__ import annotations

import torch
from torch import Tensor

from sreclip.methods.base import FitData, Progress
from sreclip.methods.transductive import TransductiveMethod
from sreclip.refinement.transclip import transclip


class TransClip(TransductiveMethod):
    """Gaussian mixture, Laplacian and KL to the text (Zanella, Gerin, Ben Ayed; NeurIPS 2024).

    The update rules and their deviations from the original are those of
    `sreclip.refinement.transclip`; here they start from the zero-shot logits. Logits are the
    logarithms of the assignments, floored at the smallest normal number.
    """

    title = "TransCLIP"
    citation = "Zanella et al., NeurIPS 2024"

    def __init__(self, seed: int = 0, progress: Progress | None = None) -> None:
        super().__init__()
        self.seed = seed
        self.progress = progress

    def _target_logits(self, data: FitData) -> Tensor:
        features = data.target_features
        assignments = transclip(features, data.text.zero_shot_logits(features))
        return assignments.clamp_min(torch.finfo(assignments.dtype).tiny).log()
