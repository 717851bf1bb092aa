"""What the labelled source says: where known classes lie, and how far that is to be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.methods.class_statistics import class_means, pooled_covariance, ridged
from sreclip.methods.data import FitData, known_labels, spaced
from sreclip.methods.logits import widened

# Weights of the Gaussians that held-out source images choose from.
WEIGHTS = tuple(0.003 * (1 / 0.003) ** (step / 25) for step in range(26))
# Where no class has two source images, nothing can be held out.
UNJUDGED_WEIGHT = 0.04
MOST_JUDGES = 4096

Score = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class SourceEvidence:
    """Gaussians of the known classes.

    Attributes
    ----------
    counts, means
        Source images per class, ``(n_classes,)``, and their mean, ``(n_classes, dim)``.
    whitener
        ``T`` with ``T T^T`` the inverse of the shrunk covariance within classes, ``(dim, dim)``.
    weight
        Weight of the Gaussians beside the logits that held-out source images call for.
    """

    counts: Tensor
    means: Tensor
    whitener: Tensor
    weight: float


def whitener(covariance: Tensor, n: int) -> Tensor:
    r"""Return ``T`` with :math:`T T^\top = S^{-1}`, float32, for a covariance of ``n`` images.

    .. math:: S = \frac{(n - 1) \Sigma + \mathrm{tr}(\Sigma) I}{n - 1 + d}

    is the shrunk covariance of Wang et al. (ICLR 2024), scaled to keep the trace (ours), so that
    distances do not depend on how many images there are.
    """
    shrunk = ridged(covariance, n) / (n - 1 + len(covariance))
    values, vectors = torch.linalg.eigh(shrunk)
    return (vectors * values.clamp_min(torch.finfo(torch.float32).tiny).rsqrt()).float()


def certainty(counts: Tensor) -> Tensor:
    """Return ``n / (n + 1)``: how much less a mean of n images says than the true one."""
    return counts / (counts + 1)


@torch.no_grad()
def source_evidence(
    data: FitData, score: Score, target_covariance: Callable[[], Tensor]
) -> SourceEvidence:
    r"""Return what the source says beside the logits of ``score``.

    The weight is judged by each source image of a class with two or more, with the image itself
    left out of its class: it is the smallest of `WEIGHTS` whose cross-entropy over the known
    classes is within one standard error of the best (the rule of Breiman et al., 1984). With more
    than `MOST_JUDGES` such images, evenly spaced ones judge. Where there is none,
    ``target_covariance`` stands for the covariance within classes, and the weight is
    `UNJUDGED_WEIGHT`.
    """
    features, labels, n_classes = data.source_features, data.source_labels, len(data.text.known)
    means = class_means(features, labels, n_classes)
    counts = torch.bincount(labels, minlength=n_classes)
    covariance, n = pooled_covariance(features, labels, means)
    if not n or not float(covariance.trace()) > 0:
        whitened = whitener(target_covariance(), len(data.target_features))
        return SourceEvidence(counts.float(), means.float(), whitened, UNJUDGED_WEIGHT)
    unjudged = SourceEvidence(counts.float(), means.float(), whitener(covariance, n), 0.0)
    return replace(unjudged, weight=_judged(unjudged, data, score))


def _judged(evidence: SourceEvidence, data: FitData, score: Score) -> float:
    known, labels = data.text.known, data.source_labels
    rows = (evidence.counts[labels] > 1).nonzero()[:, 0]
    rows = rows[spaced(len(rows), MOST_JUDGES)]
    images, own = widened(data.source_features[rows]), known_labels(labels[rows], known)
    places, means = images @ evidence.whitener, evidence.means[known] @ evidence.whitener
    counts = evidence.counts[known].expand(len(rows), -1).clone()
    distances = _squared_distances(places, means)
    mine = torch.arange(len(rows), device=rows.device), own
    n = counts[mine]
    # From the mean of the others: the image's own part is taken out of the mean.
    distances[mine] *= (n / (n - 1)) ** 2
    counts[mine] = n - 1
    gaussian, logits = -0.5 * certainty(counts) * distances, score(images)[:, known]
    losses = torch.stack(
        [F.cross_entropy(logits + weight * gaussian, own, reduction="none") for weight in WEIGHTS]
    )
    best = int(losses.mean(dim=1).argmin())
    worse = losses - losses[best]
    error = worse.std(dim=1) / math.sqrt(len(rows)) if len(rows) > 1 else worse.new_zeros(())
    return WEIGHTS[int((worse.mean(dim=1) <= error).int().argmax())]


def _squared_distances(points: Tensor, means: Tensor) -> Tensor:
    squares = points.square().sum(dim=1, keepdim=True) + means.square().sum(dim=1)
    return torch.addmm(squares, points, means.T, alpha=-2)
