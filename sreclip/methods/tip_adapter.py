"""Tip-Adapter: a cache of labelled source features beside the text classifier."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.methods.base import FitData, Method, Progress, known_labels


class TipAdapter(Method):
    """``s f.w_c + alpha sum_k exp(-beta (1 - f.k)) [k is of class c]`` (Zhang et al., ECCV 2022).

    The keys k are the features of up to ``shots`` source images of each known class. The original
    always has equally many a class; here a class with n keys counts each ``n_max / n`` times,
    n_max being the number of the largest class, or it would lose for having fewer images.

    Deviations from the original: the frozen model's own s in place of 100; keys are single cached
    features, not means over augmented views; alpha and beta are not searched, which needs labels;
    and ``centered``. An unknown class has no key, while every known one would gain up to
    ``alpha * shots`` on every image, and no unknown class would ever be chosen. With ``centered``
    (ours) the mean of the cache logits over the known classes is taken off, so that an image's
    mean known logit stays the frozen model's; the order of the known classes is not touched.

    Parameters
    ----------
    alpha : float
        Weight of the cache.
    beta : float
        Sharpness of the affinity.
    shots : int
        Cached source images of each known class, at most.
    centered : bool
        Keep the image's mean known logit; False is the original.
    seed : int
        Seed of the draw of the shots.
    progress : callable, optional
        Called with step, number of steps and the loss terms.
    """

    title = "Tip-Adapter"
    citation = "Zhang et al., ECCV 2022"
    transductive = False

    def __init__(
        self,
        alpha: float = 1.17,
        beta: float = 1.0,
        shots: int = 16,
        centered: bool = True,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta
        self.shots = shots
        self.centered = centered
        self.seed = seed
        self.progress = progress

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        rows = draw_shots(data.source_labels, self.shots, generator)
        labels = known_labels(data.source_labels[rows], data.text.known)
        self.keys_ = data.source(rows).clone()
        one_hot = F.one_hot(labels, int(data.text.known.sum())).to(self.keys_.dtype)
        counts = one_hot.sum(dim=0)
        self.values_ = one_hot * (counts.max() / counts)

    def _logits(self, features: Tensor) -> Tensor:
        affinity = torch.exp(-self.beta * (1 - features @ self.keys_.T))
        cache = self.alpha * affinity @ self.values_
        if self.centered:
            cache = cache - cache.mean(dim=1, keepdim=True)
        logits = self.text_.zero_shot_logits(features)
        known = self.text_.known.nonzero().squeeze(1)
        return logits.index_add(1, known, cache)

    def state(self) -> dict[str, Tensor]:
        """Keys, the weight of each for each known class, and class vectors."""
        return {
            "keys": self.keys_.detach(),
            "values": self.values_,
            "text": self.text_.features,
        }


def draw_shots(labels: Tensor, shots: int, generator: torch.Generator) -> Tensor:
    """Row numbers of up to ``shots`` random images of each class, class by class."""
    order = torch.randperm(len(labels), generator=generator).to(labels.device)
    shuffled = labels[order]
    counts = shuffled.unique(return_counts=True)[1].tolist()
    by_class = order[shuffled.argsort(stable=True)].split(counts)
    return torch.cat([rows[:shots] for rows in by_class])
