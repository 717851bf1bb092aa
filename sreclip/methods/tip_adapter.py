"""Tip-Adapter: a cache of labelled source features beside the text classifier."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.config.methods import TipAdapterSettings
from sreclip.methods.base import Method
from sreclip.methods.data import FitData, draw_shots, known_labels


class TipAdapter(Method):
    """``s f.w_c + alpha sum_k exp(-beta (1 - f.k)) [k is of class c]`` (Zhang et al., ECCV 2022).

    The keys k are the features of up to ``shots`` source images per known class. The original has
    equally many per class; here a class with n keys counts each ``n_max / n`` times, n_max being
    the number of the largest class, or it would lose for having fewer images.

    Deviations from the original: the frozen model's own s instead of 100; keys are single cached
    features, not means over augmented views; alpha and beta are not searched, which needs labels;
    and ``centered``. An unknown class has no key, while every known one would gain up to
    ``alpha * shots`` on every image, and no unknown class would ever be chosen. With ``centered``
    (ours) the mean of the cache logits over the known classes is subtracted, so that an image's
    mean known logit stays the frozen model's; the order of the known classes does not change.
    """

    title = "Tip-Adapter"
    citation = "Zhang et al., ECCV 2022"
    settings: TipAdapterSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        rows = draw_shots(data.source_labels, self.settings.shots, generator)
        labels = known_labels(data.source_labels[rows], data.text.known)
        self.keys_ = data.source(rows).clone()
        one_hot = F.one_hot(labels, int(data.text.known.sum())).to(self.keys_.dtype)
        counts = one_hot.sum(dim=0)
        self.values_ = one_hot * (counts.max() / counts)

    def _logits(self, features: Tensor) -> Tensor:
        affinity = torch.exp(-self.settings.beta * (1 - features @ self.keys_.T))
        cache = self.settings.alpha * affinity @ self.values_
        if self.settings.centered:
            cache = cache - cache.mean(dim=1, keepdim=True)
        logits = self.text_.zero_shot_logits(features)
        known = self.text_.known.nonzero().squeeze(1)
        return logits.index_add(1, known, cache)

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        self.keys_, self.values_ = state["keys"], state["values"]

    def _state(self) -> dict[str, Tensor]:
        return {"keys": self.keys_.detach(), "values": self.values_, **super()._state()}
