"""ADAPT, transductive form: Gaussians from a bank of sure images (NeurIPS 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sreclip.methods.class_statistics import ridged
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.pairs import pairs_of

PER_CLASS = 6
IMAGES_WEIGHT = 0.9
TEMPERATURE = 1.0


@dataclass(frozen=True)
class LinearGaussians:
    """Classes with one covariance: ``f v_c - o_c``; ``(n_classes, dim)`` and ``(n_classes,)``."""

    vectors: Tensor
    offsets: Tensor
    temperature: float = TEMPERATURE

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> LinearGaussians:
        """Return the state that gave these `tensors`."""
        return cls(tensors["vectors"], tensors["offsets"], float(tensors["temperature"]))

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, for safetensors."""
        temperature = self.offsets.new_tensor(self.temperature)
        return {"vectors": self.vectors, "offsets": self.offsets, "temperature": temperature}

    @torch.no_grad()
    def __call__(self, features: Tensor, candidates: Candidates) -> Candidates:
        """Return ``log p + (1/t) log-softmax(f v_c - o_c)``, the softmax over the candidates."""
        log_p = torch.empty_like(candidates.log_p)
        for rows, given in candidates.parts():
            pairs = pairs_of(features[rows], None, given)
            scores = pairs.scores(self.vectors, self.offsets, torch.empty_like(given.log_p))
            mixed = given.log_p + scores.log_softmax(dim=1) / self.temperature
            log_p[rows] = mixed.log_softmax(dim=1)
        return replace(candidates, log_p=log_p)


@torch.no_grad()
def adapt(
    features: Tensor,
    text: Tensor,
    candidates: Candidates,
    per_class: int = PER_CLASS,
    temperature: float = TEMPERATURE,
) -> LinearGaussians:
    r"""Estimate Gaussians of one covariance from the target's own predictions p.

    The bank has the ``per_class`` images of least entropy among those predicted as each class, m in
    all. With sums over the bank and over all images,

    .. math::

        \mu_c = 0.9 \frac{\sum_b p_{bc} x_b + \sum_i p_{ic} f_i}{\sum_b p_{bc} + \sum_i p_{ic}}
        + 0.1\,w_c, \qquad \Sigma^{-1} = d\,\big((m - 1) S + \mathrm{tr}(S) I\big)^+,

    S being the covariance of the bank about the :math:`\mu` of the predicted classes, w the
    unit-norm ``text``, ``(n_classes, dim)``. An image's class scores are
    :math:`f^\top \Sigma^{-1} \mu_c - \frac12 \mu_c^\top \Sigma^{-1} \mu_c`.

    The temperature is fixed: ADAPT's authors (arXiv 2508.15568) set it per data set on labels.
    A class without mass keeps its text.
    """
    entropy = -(candidates.log_p.exp() * candidates.log_p.clamp_min(-1e4)).sum(dim=1)
    places = candidates.log_p.argmax(dim=1, keepdim=True)
    predicted = candidates.classes.gather(1, places)[:, 0].long()
    bank = _surest(predicted, entropy, per_class, candidates.n_classes)
    pairs = pairs_of(features, None, candidates)
    in_bank = candidates.log_p.new_zeros(len(features))
    in_bank[bank] = 1
    weights = candidates.log_p.exp() * (1 + in_bank[:, None])
    totals, sums = pairs.totals(weights), pairs.sums(weights)
    means = torch.where(totals[:, None] > 0, sums / totals.clamp_min(1e-12)[:, None], text)
    means = IMAGES_WEIGHT * means + (1 - IMAGES_WEIGHT) * text
    away = features[bank] - means[predicted[bank]]
    m, dim = away.shape
    covariance = away.T @ away / max(1, m - 1)
    precision = dim * torch.linalg.pinv(ridged(covariance, m), hermitian=True)
    vectors = means @ precision
    return LinearGaussians(vectors, (means * vectors).sum(dim=1) / 2, temperature)


def _surest(predicted: Tensor, entropy: Tensor, per_class: int, n_classes: int) -> Tensor:
    """Return the rows of least entropy per predicted class, class by class."""
    order = entropy.argsort(stable=True)
    order = order[predicted[order].argsort(stable=True)]
    counts = torch.bincount(predicted, minlength=n_classes)
    starts = (counts.cumsum(0) - counts).repeat_interleave(counts)
    rank = torch.arange(len(order), device=order.device) - starts
    return order[rank < per_class]
