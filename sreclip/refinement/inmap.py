"""InMaP: class vectors fitted to balanced pseudo labels of the target (Qian et al., 2023)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.methods.logits import (
    BLOCK_VALUES,
    Block,
    score_in_blocks,
    softmax_and_log_sum,
    widened,
)
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.gaussians import NEGLIGIBLE
from sreclip.refinement.pairs import pairs_of

STEPS = 2000
GAMMA = 0.0
SINKHORN_ROUNDS = 20
SURE = 0.6
RATE = 10.0
# The published temperatures are 0.01 for text and 0.04 for images, and 1 / 0.01 is CLIP's s.
SCALE = 0.01 / 0.04

# Given a step, the number of steps and the loss before it.
Record = Callable[[int, int, Tensor], None]


@dataclass(frozen=True)
class ClassVectors:
    """The state that scores images: unit-norm vectors, ``(n_classes, dim)``, and a factor."""

    vectors: Tensor
    scale: float

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> ClassVectors:
        """Return the state that gave these `tensors`."""
        return cls(tensors["vectors"], float(tensors["scale"]))

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, for safetensors."""
        return {"vectors": self.vectors, "scale": self.vectors.new_tensor(self.scale)}

    def logits(self, features: Tensor) -> Tensor:
        """Return ``scale f.v_c``, ``(n_images, n_classes)``."""
        return self.scale * features @ self.vectors.T

    def blocks(self, features: Tensor) -> Iterator[Block]:
        """Yield the logits of all classes in blocks of bounded size."""
        return score_in_blocks(self.logits, features, len(self.vectors))

    def __call__(self, features: Tensor, candidates: Candidates) -> Candidates:
        """Return the predictions for images; the given ones do not count."""
        most = candidates.log_p.shape[1]
        return Candidates.from_blocks(self.blocks(features), len(features), len(self.vectors), most)


@torch.no_grad()
def inmap(
    features: Tensor,
    text: Tensor,
    candidates: Candidates,
    logit_scale: float,
    steps: int = STEPS,
    gamma: float = GAMMA,
    record: Record | None = None,
) -> ClassVectors:
    r"""Fit class vectors to pseudo labels that are made from the predictions p.

    The pseudo labels P are p after 20 rounds of Sinkhorn's iteration, which brings the class totals
    to shares :math:`\propto (\sum_i p_{ic})^\gamma` and then each image to 1; an image with more
    than 0.6 for one class gets it alone. From V = ``text``, ``(n_classes, dim)``, unit norm, steps
    go down the mean cross-entropy of P and softmax(s' f.v_c), s' = s 0.01 / 0.04:

    .. math:: V \leftarrow \mathrm{unit}\Big(V - \frac{10\,s'}{n} (Q - P)^\top F\Big),
        \quad Q_{ic} \propto \exp(s' f_i^\top v_c).

    The rate, 10 at first, is halved when the gradient's norm is above that of the step before.

    P has an image's candidates alone, Q has every class. Q is made some images at a time; a step
    takes 4 n n_classes dim operations.
    """
    scale, n = SCALE * logit_scale, len(features)
    vectors = text.clone()
    labelled = _labelled_sums(features, text, candidates, gamma)
    rate, last = RATE, float("inf")
    for step in range(1, steps + 1):
        predicted, log_sum = _predicted_sums(features, vectors, scale)
        if record:
            record(step, steps, (log_sum - scale * (labelled * vectors).sum()) / n)
        gradient = (scale / n) * (predicted - labelled)
        norm = float(gradient.norm())
        if norm > last:
            rate /= 2
        last = norm
        vectors = F.normalize(vectors - rate * gradient, dim=1)
    return ClassVectors(vectors, scale)


def _labelled_sums(features: Tensor, text: Tensor, candidates: Candidates, gamma: float) -> Tensor:
    """Return ``P^T F``, ``(n_classes, dim)``."""
    labels = pseudo_labels(candidates, gamma)
    sums = torch.zeros_like(text)
    for rows, part in candidates.parts():
        sums += pairs_of(widened(features[rows]), None, part).sums(labels[rows])
    return sums


@torch.no_grad()
def pseudo_labels(candidates: Candidates, gamma: float = GAMMA) -> Tensor:
    """Return P for the candidates of each image, ``(n_images, k)``; see `inmap`."""
    # Less would have no finite factor that brings it to a share.
    labels = torch.threshold(candidates.log_p.exp(), NEGLIGIBLE, 0)
    classes = candidates.classes.flatten()
    totals = _totals(labels, candidates)
    shares = torch.where(totals > 0, totals**gamma, 0)
    shares *= len(labels) / shares.sum()
    for _ in range(SINKHORN_ROUNDS):
        factors = shares / _totals(labels, candidates).clamp_min(torch.finfo(labels.dtype).tiny)
        labels *= factors.index_select(0, classes).view_as(labels)
        labels /= labels.sum(dim=1, keepdim=True)
    best = labels.max(dim=1, keepdim=True)
    alone = torch.zeros_like(labels).scatter_(1, best.indices, 1.0)
    return torch.where(best.values > SURE, alone, labels)


def _totals(values: Tensor, candidates: Candidates) -> Tensor:
    totals = values.new_zeros(candidates.n_classes)
    return totals.index_add_(0, candidates.classes.flatten(), values.flatten())


def _predicted_sums(features: Tensor, vectors: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return ``Q^T F``, ``(n_classes, dim)``, and the sum over images of the log of Q's divisor."""
    sums, log_sum = torch.zeros_like(vectors), vectors.new_zeros(())
    scaled = scale * vectors.T
    for part in features.split(max(1, BLOCK_VALUES // len(vectors))):
        images = widened(part)
        logits = images @ scaled
        p, log_sums = softmax_and_log_sum(logits, out=logits)
        log_sum += log_sums.sum()
        sums.addmm_(p.T, images)
    return sums, log_sum
