"""A bias per class from the class shares of the target: optimal transport without labels.

The exact transport of images onto class shares is one bias per class (OTTER, Shin et al., NeurIPS
2024; Conf-OT, CVPR 2025). How far to go, and to which shares, is ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sreclip.methods.logits import softmax_and_log_sum
from sreclip.refinement.candidates import ROWS, Candidates

STRENGTH = 0.5
UNIFORM = 1.0
TOLERANCE = 1e-6
MOST_STEPS = 1000
LARGEST = 50.0
LEAST = -500.0


@dataclass(frozen=True)
class ClassBias:
    """The state that scores images: what is added to the log-probabilities, ``(n_classes,)``."""

    bias: Tensor

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> ClassBias:
        """Return the state that gave these `tensors`."""
        return cls(tensors["class_bias"])

    def tensors(self) -> dict[str, Tensor]:
        """Return the bias by name, for safetensors."""
        return {"class_bias": self.bias}

    def __call__(self, features: Tensor, candidates: Candidates) -> Candidates:
        """Return the predictions with the bias; the features do not matter."""
        return self.added_to(candidates)

    @torch.no_grad()
    def added_to(self, candidates: Candidates) -> Candidates:
        """Return the predictions with the bias, normalised over each image's candidates."""
        log_p = torch.empty_like(candidates.log_p)
        for rows, biased in _biased(candidates, self.bias):
            log_p[rows] = biased.log_softmax(dim=1)
        return replace(candidates, log_p=log_p)


@torch.no_grad()
def class_bias(
    candidates: Candidates,
    strength: float = STRENGTH,
    uniform: float = UNIFORM,
    most_lift: float = math.inf,
    tolerance: float = TOLERANCE,
    group: Tensor | None = None,
    start: ClassBias | None = None,
) -> ClassBias:
    r"""Return ``strength`` times the bias that moves the target to given class shares.

    The bias b solves :math:`\frac1n \sum_i \mathrm{softmax}(\log p_i + b)_c = \pi_c` for every
    class c: entropic transport of the images, of equal weight, onto the shares :math:`\pi`. It is
    the minimum of the convex :math:`\frac1n \sum_i \log \sum_c \exp(\log p_{ic} + b_c) - \pi b`,
    found by L-BFGS. The shares are ``uniform`` times equal ones, the rest `em_shares`. With a
    ``group`` of classes, bool ``(n_classes,)``, these and the others are made equal among
    themselves, and keep what is predicted of them together. No share is more than ``most_lift``
    times the class's mean prediction: what is left of the images then goes to the classes that are
    predicted more often than their share.

    With more than `MOST_CANDIDATES` classes an image goes to its candidates alone, and a class
    cannot have any share: it gets at most half of the images that it is a candidate of, the others
    more in proportion, and b stays within `LARGEST`. A class that is no image's candidate has no
    bias. Of all equal solutions the mean of b is 0. The search begins at ``start``, a bias of this
    strength: from one of nearly the same predictions it takes fewer steps.
    """
    from scipy.optimize import Bounds, minimize

    equal = torch.full((candidates.n_classes,), 1 / candidates.n_classes, dtype=torch.float64)
    shares = equal if uniform == 1 else uniform * equal + (1 - uniform) * em_shares(candidates)
    predicted = _totals(candidates, torch.zeros_like(shares))
    present = predicted > 0
    mean = predicted / len(candidates)
    if group is not None:
        group = group.to(shares.device)
        for part in (group, ~group):
            shares[part] *= mean[part].sum() / shares[part].sum().clamp_min(TOLERANCE)
    if most_lift < math.inf:
        shares = torch.minimum(shares, most_lift * mean)
        # What they may not have stays where it is predicted.
        above = (mean - shares).clamp_min(0)
        shares += (1 - shares.sum()).clamp_min(0) * above / above.sum().clamp_min(TOLERANCE)
        shares /= shares.sum()
    if not candidates.complete:
        shares = torch.minimum(shares, _candidate_counts(candidates) / (2 * len(candidates)))
    shares = shares * present
    shares /= shares.sum()
    bias = torch.zeros_like(shares)
    if start is not None and strength:
        bias[present] = (start.bias.to(bias) / strength).clamp(-LARGEST, LARGEST)[present]
    room = torch.empty_like(candidates.log_p[:ROWS], dtype=torch.float64)
    tables = [_Table(part, room) for _, part in candidates.parts()]

    def dual(values: np.ndarray) -> tuple[float, np.ndarray]:
        bias[present] = torch.from_numpy(values)
        totals = torch.zeros_like(shares)
        log_sums = sum(table.softmax(bias, totals) for table in tables)
        n_images = len(candidates)
        gradient = totals / n_images - shares
        value = log_sums / n_images - float(shares @ bias)
        return value, gradient[present].numpy()

    found = minimize(
        dual,
        bias[present].numpy(),
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(-LARGEST, LARGEST),
        options={"gtol": tolerance / len(shares), "ftol": 0, "maxiter": MOST_STEPS, "maxcor": 30},
    )
    bias[present] = torch.from_numpy(found.x - found.x.mean())
    return ClassBias((strength * bias).to(candidates.log_p))


@torch.no_grad()
def em_shares(candidates: Candidates) -> Tensor:
    r"""Return the class shares of most likelihood, ``(n_classes,)``, float64 (Saerens, 2002).

    From equal shares, :math:`\pi_c \leftarrow \frac1n \sum_i r_{ic}` with
    :math:`r_{ic} \propto \frac{\pi_c}{\bar p_c} p_{ic}` and :math:`\bar p` the mean prediction,
    until no share moves by more than 1e-6.
    """
    n = candidates.n_classes
    zero = torch.zeros(n, dtype=torch.float64)
    mean = _totals(candidates, zero) / len(candidates)
    shares = torch.full_like(zero, 1 / n)
    for _ in range(MOST_STEPS):
        bias = torch.where(mean > 0, (shares / mean).log(), 0).clamp_min(-1e4)
        before, shares = shares, _totals(candidates, bias) / len(candidates)
        if (shares - before).abs().max() <= TOLERANCE:
            break
    return shares


class _Table:
    """Log-probabilities of some images in float64, and room for what a step makes of them.

    Fresh memory in each of hundreds of steps would cost several times the arithmetic: tables share
    their ``room``, ``(n, k)`` with n at least as many as the images of any.
    """

    def __init__(self, part: Candidates, room: Tensor) -> None:
        # Of less than this nothing is left beside 1, and denormal numbers would be slow.
        self.part, self.log_p = part, part.log_p.double().clamp_min(LEAST)
        self.room = room[: len(part)]

    def softmax(self, bias: Tensor, totals: Tensor) -> float:
        """Add the softmax with a bias to the totals by class; return the logarithms' sum."""
        room, bias = self.room, bias.to(self.room.device)
        if self.part.complete:
            torch.add(self.log_p, bias, out=room)
        else:
            torch.index_select(bias, 0, self.part.classes.flatten(), out=room.view(-1))
            room += self.log_p
        p, log_sums = softmax_and_log_sum(room, out=room)
        _add(totals, self.part, slice(None), p)
        return float(log_sums.sum())


def _biased(candidates: Candidates, bias: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield log-probabilities plus bias, some images at a time, in the type of the bias."""
    bias = bias.to(candidates.log_p.device)
    for rows, part in candidates.parts():
        yield rows, part.log_p.to(bias) + bias[part.classes.long()]


def _totals(candidates: Candidates, bias: Tensor) -> Tensor:
    """Return the sum over images of the softmax with a bias, ``(n_classes,)``."""
    totals = torch.zeros_like(bias)
    for rows, biased in _biased(candidates, bias):
        _add(totals, candidates, rows, biased.softmax(dim=1))
    return totals


def _candidate_counts(candidates: Candidates) -> Tensor:
    """Return how many images each class is a candidate of, ``(n_classes,)``."""
    return torch.bincount(candidates.classes.flatten().cpu(), minlength=candidates.n_classes)


def _add(totals: Tensor, candidates: Candidates, rows: slice, p: Tensor) -> None:
    """Add probabilities of some images' candidates to the totals by class."""
    if candidates.complete:
        totals += p.sum(dim=0).to(totals)
    else:
        classes = candidates.classes[rows].flatten().long()
        totals.index_add_(0, classes.to(totals.device), p.flatten().to(totals))
