"""TransCLIP, zero-shot form (Zanella, Gerin, Ben Ayed; NeurIPS 2024)."""

from __future__ import annotations

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
from sreclip.refinement.pairs import pairs_of

CONFIDENT = 8
CHUNK = 8192


@torch.no_grad()
def transclip(
    features: Tensor, candidates: Candidates, search: NeighbourSearch = nearest_neighbours
) -> tuple[Candidates, Gaussians]:
    """Refine predictions by a Gaussian mixture, a Laplacian and a KL to the text predictions.

    With ``y`` the given predictions, assignments ``z`` are updated as
    ``z ~ y exp(g / 50 + (W + W^T) z / (2 k))``: g is the log-likelihood under Gaussians with
    unit-norm means and one shared diagonal variance, W the similarities to the k nearest images.
    Ten rounds of five assignment steps, each round followed by new means and variance. As in the
    original, means start at the eight most confident images of each class; unlike there, the
    number of classes comes from the predictions and not from the labels, and classes without an
    assigned image keep their mean. Beyond `MOST_CANDIDATES` classes an image is assigned only to
    its candidates (ours); up to then all classes are candidates. Returns z, whose rows sum to 1,
    and the Gaussians that score other images.
    """
    n_images, dim = features.shape
    graph, scale = neighbour_graph(features, search)
    pairs = pairs_of(features, graph, candidates)
    means = _confident_means(features, candidates)
    variance = torch.full_like(features[0], 1 / dim)
    chunks = features.split(CHUNK)
    squares = features.new_empty(len(chunks), dim)
    for number, chunk in enumerate(chunks):
        squares[number] = chunk.square().sum(dim=0)
    squares = squares.sum(dim=0)
    assignments = assigned(candidates.log_p)
    logits, own = torch.empty_like(assignments), torch.empty_like(assignments)
    for outer in range(OUTER_STEPS + 1):
        # -sum_d (f - m)^2 / (2 var) without the square of f, the same for all classes.
        scaled = means / variance
        pairs.scores(scaled, (means * scaled).sum(dim=1) / 2, own).mul_(LIKELIHOOD_WEIGHT)
        own += candidates.log_p
        assignments = pulled(pairs, own, scale, assignments, logits)
        if outer < OUTER_STEPS:
            sums = pairs.sums(assignments)
            norm = sums.norm(dim=1, keepdim=True)
            means = torch.where(norm > 1e-12, sums / norm.clamp_min(1e-12), means)
            # The sum of z (f - m)^2 opened up: no (n_images, n_classes, dim) tensor is made.
            spread = squares - 2 * (sums * means).sum(dim=0)
            spread += pairs.totals(assignments) @ means.square()
            variance = (spread / n_images).clamp_min(LEAST_VARIANCE)
    del own, assignments  # before one more such table is made
    found = Candidates(candidates.classes, logits.log_softmax(dim=1), candidates.n_classes)
    return found, Gaussians(means, variance.expand_as(means))


def _confident_means(features: Tensor, candidates: Candidates) -> Tensor:
    """Mean direction of each class's most confident images, weighted by their probability."""
    best = features.new_empty(0, candidates.n_classes)
    images = torch.empty(0, candidates.n_classes, dtype=torch.int64, device=features.device)
    for rows in candidates.chunks():
        log_p = candidates.spread(rows, candidates.log_p[rows], -torch.inf)
        merged = torch.cat([best, log_p])
        merged_images = torch.cat([images, rows[:, None].expand_as(log_p)])
        kept = merged.topk(min(CONFIDENT, len(merged)), dim=0)
        best, images = kept.values, merged_images.gather(0, kept.indices)
    # A softmax: weights up to a factor, which the norm takes away, that do not underflow.
    weights = best.softmax(dim=0).nan_to_num()
    return F.normalize(torch.einsum("kc,kcd->cd", weights, features[images]), dim=1)
