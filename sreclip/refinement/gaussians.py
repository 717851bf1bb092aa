"""What TransCLIP and StatA share: a Gaussian per class, and assignments that neighbours pull."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sreclip.refinement.candidates import Candidates
from sreclip.refinement.neighbours import NeighbourSearch, graph_of
from sreclip.refinement.pairs import AllPairs, pairs_of

NEIGHBOURS = 3
OUTER_STEPS = 10
INNER_STEPS = 5
LIKELIHOOD_WEIGHT = 1 / 50
LEAST_VARIANCE = 1e-8
NEGLIGIBLE = 1e-20


@dataclass(frozen=True)
class Gaussians:
    """The state that scores images: means and variances, both ``(n_classes, dim)``."""

    means: Tensor
    variances: Tensor

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Gaussians:
        """Return the state that gave these `tensors`."""
        return cls(tensors["means"], tensors["variances"])

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
        for rows, part in candidates.parts():
            pairs = pairs_of(features[rows], None, part)
            squares = pairs_of(features[rows].square(), None, part)
            likelihood = self.log_likelihood(pairs, squares, torch.empty_like(part.log_p))
            log_z[rows] = (part.log_p + LIKELIHOOD_WEIGHT * likelihood).log_softmax(dim=1)
        return replace(candidates, log_p=log_z)


def assigned(logits: Tensor, out: Tensor | None = None) -> Tensor:
    """Return the softmax of each row, without numbers that are next to nothing."""
    # Denormal numbers would make the matrix products many times slower.
    return torch.threshold_(torch.softmax(logits, dim=1, out=out), NEGLIGIBLE, 0)


def neighbour_graph(features: Tensor, search: NeighbourSearch) -> tuple[Tensor, float]:
    """Return ``W + W^T``, W the cosines to the k nearest images, and ``1 / (2 k)``."""
    numbers, cosines = search(features, NEIGHBOURS)
    return graph_of(numbers, cosines), 1 / (2 * max(1, numbers.shape[1]))


def pulled(pairs: AllPairs, own: Tensor, scale: float, z: Tensor, logits: Tensor) -> Tensor:
    """Take `INNER_STEPS` steps ``z ~ exp(own + scale (W + W^T) z)``, in place of z and logits."""
    for _ in range(INNER_STEPS):
        pairs.pull(z, logits).mul_(scale).add_(own)
        z = assigned(logits, out=z)
    return z
