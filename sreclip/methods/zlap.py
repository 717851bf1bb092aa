"""ZLaP: label propagation from class texts to the target images."""

from __future__ import annotations

from torch import Tensor

from sreclip.methods.base import FitData, Progress
from sreclip.methods.transductive import TransductiveMethod
from sreclip.refinement.zlap import zlap

FLOOR = 1e-12


class Zlap(TransductiveMethod):
    """Label propagation on the kNN graph of texts and images (Stojnic et al., CVPR 2024).

    The transductive form with text classifiers; see `sreclip.refinement.zlap` for the formula.

    Deviation from the original: logits are the logarithms of its scores, floored at 1e-12, so that
    a softmax gives the scores divided by their sum. The order of classes is the same.

    Parameters
    ----------
    k : int
        Nearest images, the image itself among them, and nearest texts of each image.
    gamma : float
        Power of the cosines between images and texts.
    alpha : float
        Share of a score that comes from neighbours, below 1.
    tolerance : float
        Relative residual at which the conjugate gradients stop.
    seed : int
        Not used: nothing is drawn.
    progress : callable, optional
        Not called: there are no steps.
    """

    title = "ZLaP"
    citation = "Stojnic et al., CVPR 2024"

    def __init__(
        self,
        k: int = 5,
        gamma: float = 5.0,
        alpha: float = 0.3,
        tolerance: float = 1e-6,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.k = k
        self.gamma = gamma
        self.alpha = alpha
        self.tolerance = tolerance
        self.seed = seed
        self.progress = progress

    def _target_logits(self, data: FitData) -> Tensor:
        scores = zlap(
            data.target_features,
            data.text.features,
            k=self.k,
            gamma=self.gamma,
            alpha=self.alpha,
            tolerance=self.tolerance,
        )
        return scores.clamp_min_(FLOOR).log_()
