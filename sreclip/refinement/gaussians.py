"""One Gaussian per class: the state by which TransCLIP and StatA score images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sreclip.refinement.candidates import ROWS, Candidates
from sreclip.refinement.neighbours import csr
from sreclip.refinement.pairs import AllPairs, SparsePairs

LIKELIHOOD_WEIGHT = 1 / 50
LEAST_VARIANCE = 1e-8
NEGLIGIBLE = 1e-20


@dataclass(frozen=True)
class Gaussians:
    """The state that scores images: means and variances, both ``(n_classes, dim)``."""

    means: Tensor
    variances: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, for safetensors."""
        return {"means": self.means, "variances": self.variances.contiguous()}

    def log_likelihood(self, pairs: AllPairs, squares: AllPairs, out: Tensor) -> Tensor:
        r"""Return :math:`-\frac12 \sum_d \frac{(f_d - m_{cd})^2}{s^2_{cd}} + \log s^2_{cd}`.

        ``pairs`` has the features, ``squares`` their squares; no tensor has images, classes and
        dimensions.
        """
        precision = 1 / self.variances
        scaled = self.means * precision
        offsets = (self.means * scaled + self.variances.log()).sum(dim=1) / 2
        pairs.scores(scaled, offsets, out)
        return out.sub_(squares.scores(precision / 2, torch.zeros_like(offsets), out.clone()))

    @torch.no_grad()
    def __call__(self, features: Tensor, candidates: Candidates) -> Candidates:
        """Score images that were not in the fit, without neighbours: ``z ~ p exp(g / 50)``."""
        log_z = torch.empty_like(candidates.log_p)
        for start in range(0, len(features), ROWS):
            rows = slice(start, start + ROWS)
            part = replace(
                candidates, classes=candidates.classes[rows], log_p=candidates.log_p[rows]
            )
            pairs = pairs_of(features[rows], None, part)
            squares = pairs_of(features[rows].square(), None, part)
            likelihood = self.log_likelihood(pairs, squares, torch.empty_like(part.log_p))
            log_z[rows] = (part.log_p + LIKELIHOOD_WEIGHT * likelihood).log_softmax(dim=1)
        return replace(candidates, log_p=log_z)


def pairs_of(features: Tensor, graph: Tensor | None, candidates: Candidates) -> AllPairs:
    """Return the pairs of images and classes; without a graph none is near another."""
    if graph is None:
        n = len(features)
        starts = torch.zeros(n + 1, dtype=torch.int64, device=features.device)
        graph = csr(starts.diff(), starts[:0], features.new_empty(0), n)
    if candidates.complete:
        return AllPairs(features, graph)
    return SparsePairs(features, graph, candidates)


def assigned(logits: Tensor, out: Tensor | None = None) -> Tensor:
    """Return the softmax of each row, without numbers that are next to nothing."""
    # Denormal numbers would make the matrix products many times slower.
    return torch.threshold_(torch.softmax(logits, dim=1, out=out), NEGLIGIBLE, 0)
