"""Frolic's debiasing: the class shares that a model's own confusions imply (NeurIPS 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

from sreclip.refinement.candidates import Candidates
from sreclip.refinement.class_bias import ClassBias

ROUNDS = 11
_FIXED_POINT_STEPS = 1000
_TOLERANCE = 1e-9
_LEAST = 1e-12


@torch.no_grad()
def frolic(candidates: Candidates, rounds: int = ROUNDS) -> ClassBias:
    r"""Return the bias that takes the model's own prior off its logits.

    Of the images whose two best logits are more than :math:`1/C` apart, column k of M is the mean
    softmax over those that are predicted k; the prior is :math:`\pi` with :math:`M \pi = \pi`,
    :math:`\sum \pi = 1`; then :math:`\log p \leftarrow \log p - \log \pi`. This is done
    ``rounds`` times (Frolic, arXiv 2410.19294; its debiasing step alone).

    A class that no confident image is predicted as keeps the share that it started with, 1 / C
    (ours). M is ``(n_classes, n_classes)``: 100 MB for 5,000 classes.
    """
    total = candidates.log_p.new_zeros(candidates.n_classes)
    for _ in range(rounds):
        shares = _own_shares(ClassBias(total).added_to(candidates))
        total = total - shares.clamp_min(_LEAST).log().to(total)
    return ClassBias(total - total.mean())


def _own_shares(candidates: Candidates) -> Tensor:
    n_classes = candidates.n_classes
    confusion = torch.zeros(
        n_classes, n_classes, dtype=torch.float64, device=candidates.log_p.device
    )
    counts = confusion.new_zeros(n_classes)
    for rows in candidates.chunks():
        p = candidates.dense(rows)
        best = candidates.log_p[rows].topk(min(2, candidates.log_p.shape[1]), dim=1).values
        sure = (best[:, 0] - best[:, -1]) > 1 / n_classes
        predicted = p.argmax(dim=1)[sure]
        confusion.index_add_(0, predicted, p[sure].to(confusion))
        counts += torch.bincount(predicted, minlength=n_classes)
    seen = counts > 0
    mean = confusion / counts.clamp_min(1)[:, None]
    mean[~seen, ~seen] = 1  # nothing is known of it: it stays as it is
    shares = torch.full_like(counts, 1 / n_classes)
    for _ in range(_FIXED_POINT_STEPS):
        before, shares = shares, shares @ mean
        shares = shares / shares.sum()
        if (shares - before).abs().max() <= _TOLERANCE:
            break
    return shares
