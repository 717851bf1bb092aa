"""ZLaP: label propagation from class texts to the target images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from sreclip.methods.base import FitData, Progress
from sreclip.methods.blocks import Block, widened
from sreclip.methods.transductive import TransductiveMethod
from sreclip.refinement.neighbours import neighbour_search
from sreclip.refinement.zlap import normalized_graph, solve_blocks


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
        Bound on the relative residual of the solution.
    seed : int
        Not used: nothing is drawn.
    progress : callable, optional
        Not called: there are no steps.
    """

    title = "ZLaP"
    citation = "Stojnic et al., CVPR 2024"
    deterministic: ClassVar[bool] = True

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

    def _label(self, data: FitData) -> None:
        features = widened(data.target_features)
        search = neighbour_search(self.neighbours)
        self.graph_ = normalized_graph(features, data.text.features, self.k, self.gamma, search)

    def _target_blocks(self) -> Iterator[Block]:
        n_classes = len(self.text_.features)
        return solve_blocks(self.graph_, n_classes, self.alpha, self.tolerance)
