"""StatA: Gaussians held near the class texts (Zanella et al., CVPR 2025, arXiv 2501.03729)."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.refinement.candidates import Candidates
from sreclip.refinement.gaussians import (
    LEAST_VARIANCE,
    LIKELIHOOD_WEIGHT,
    OUTER_STEPS,
    Gaussians,
    assigned,
    neighbour_graph,
    pulled,
)
from sreclip.refinement.neighbours import NeighbourSearch, nearest_neighbours
from sreclip.refinement.pairs import AllPairs, pairs_of

ALPHA = 1.0


@torch.no_grad()
def stata(
    features: Tensor,
    text: Tensor,
    candidates: Candidates,
    search: NeighbourSearch = nearest_neighbours,
) -> tuple[Candidates, Gaussians]:
    r"""Refine predictions by Gaussians with a statistical anchor at the class texts.

    With p the given predictions, ``z ~ p exp(g / 50 + (W + W^T) z / (2 k))``: g is the
    log-likelihood under one Gaussian per class, of diagonal variance, and W the cosines to the
    k = 3 nearest images. Ten rounds of five such steps; after each round, with
    :math:`\beta_c = n_c / (1 + n_c)` and :math:`n_c` the images whose best class is c,

    .. math::

        m_c = \mathrm{unit}\big(\beta_c\,\mathrm{unit}(\bar f_c) + (1 - \beta_c) w_c\big), \quad
        s^2_c = \beta_c \overline{(f - m_c)^2} + (1 - \beta_c)\big(s_0^2 + (w_c - m_c)^2\big),

    bars being means over images weighted by z, w the unit-norm ``text``, ``(n_classes, dim)``, and
    :math:`s_0^2` the mean of :math:`z (f - w)^2` at the start, where z = p. A last z follows.

    Beyond `MOST_CANDIDATES` classes only an image's candidates count (ours). A class without mass
    keeps its text. Returns z, whose rows sum to 1, and the Gaussians that score other images.
    """
    graph, scale = neighbour_graph(features, search)
    pairs = pairs_of(features, graph, candidates)
    squares = pairs_of(features.square(), graph, candidates)
    z = assigned(candidates.log_p)
    start = _spread(squares.sums(z), pairs.sums(z), pairs.totals(z), text).sum(dim=0)
    variance = (start / len(features)).clamp_min(LEAST_VARIANCE)
    model = Gaussians(text, variance.expand_as(text))
    logits, own = torch.empty_like(z), torch.empty_like(z)
    for outer in range(OUTER_STEPS + 1):
        own = model.log_likelihood(pairs, squares, own).mul_(LIKELIHOOD_WEIGHT)
        own += candidates.log_p
        z = pulled(pairs, own, scale, z, logits)
        if outer < OUTER_STEPS:
            model = _anchored(pairs, squares, z, text, variance)
    return replace(candidates, log_p=logits.log_softmax(dim=1)), model


def _anchored(
    pairs: AllPairs, squares: AllPairs, z: Tensor, text: Tensor, variance: Tensor
) -> Gaussians:
    totals, sums = pairs.totals(z), pairs.sums(z)
    hard = torch.zeros_like(z).scatter_(1, z.argmax(dim=1, keepdim=True), 1.0)
    counts = pairs.totals(hard)[:, None]
    anchor = ALPHA / (ALPHA + counts)
    means = F.normalize((1 - anchor) * F.normalize(sums, dim=1) + anchor * text, dim=1)
    within = _spread(squares.sums(z), sums, totals, means) / totals.clamp_min(1e-12)[:, None]
    prior = variance + (text - means).square()
    return Gaussians(means, ((1 - anchor) * within + anchor * prior).clamp_min(LEAST_VARIANCE))


def _spread(squares: Tensor, sums: Tensor, totals: Tensor, centres: Tensor) -> Tensor:
    """Return ``sum_i z_ic (f_i - m_c)^2`` from ``sum z f^2``, ``sum z f`` and ``sum z``."""
    return squares - 2 * sums * centres + totals[:, None] * centres.square()
