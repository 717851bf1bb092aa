"""TransCLIP, zero-shot form (Zanella, Gerin, Ben Ayed; NeurIPS 2024)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBOURS = 3
OUTER_STEPS = 10
INNER_STEPS = 5
LIKELIHOOD_WEIGHT = 1 / 50
CONFIDENT = 8
CHUNK = 2048
NEGLIGIBLE = 1e-20


@torch.inference_mode()
def transclip(features: Tensor, logits: Tensor) -> Tensor:
    """Refine predictions by a Gaussian mixture, a Laplacian and a KL to the text predictions.

    With ``y`` the softmax of the given logits, assignments ``z`` are updated as
    ``z ~ y exp(g / 50 + (W + W^T) z / (2 k))``: g is the log-likelihood under Gaussians with
    unit-norm means and one shared diagonal variance, W the similarities to the k nearest images.
    Ten rounds of five assignment steps, each round followed by new means and variance. As in the
    original, means start at the eight most confident images of each class; unlike there, the
    number of classes comes from the logits and not from the labels, and classes that no image
    is assigned to keep their mean.

    Parameters
    ----------
    features : Tensor
        Unit norm, ``(n_images, dim)``.
    logits : Tensor
        ``(n_images, n_classes)``.

    Returns
    -------
    Tensor
        Assignments ``(n_images, n_classes)``; rows sum to 1.
    """
    text = F.softmax(logits, dim=1)
    neighbours, weights = nearest_neighbours(features, min(NEIGHBOURS, len(features) - 1))
    laplacian = _symmetric(neighbours, weights)
    assignments = text
    means = _confident_means(features, text)
    variance = torch.full_like(features[0], 1 / features.shape[1])
    scale = 1 / (2 * max(1, neighbours.shape[1]))
    for outer in range(OUTER_STEPS + 1):
        likelihood = LIKELIHOOD_WEIGHT * _log_likelihood(features, means, variance)
        for _ in range(INNER_STEPS):
            pull = likelihood + scale * (laplacian @ assignments)
            pull -= pull.max(dim=1, keepdim=True).values
            assignments = text * pull.exp()
            assignments /= assignments.sum(dim=1, keepdim=True)
            # Denormal numbers would make the matrix products many times slower.
            assignments[assignments < NEGLIGIBLE] = 0
        if outer < OUTER_STEPS:
            means = _means(features, assignments, means)
            variance = _variance(features, assignments, means)
    return assignments


def nearest_neighbours(features: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Numbers and cosines of each row's ``k`` nearest other rows, both ``(n_images, k)``.

    Works in chunks: no ``(n_images, n_images)`` matrix is held.
    """
    numbers, cosines = [], []
    for start in range(0, len(features), CHUNK):
        similarity = features[start : start + CHUNK] @ features.T
        rows = torch.arange(len(similarity))
        similarity[rows, rows + start] = -torch.inf
        top = similarity.topk(k, dim=1)
        numbers.append(top.indices)
        cosines.append(top.values)
    return torch.cat(numbers), torch.cat(cosines)


def _symmetric(neighbours: Tensor, weights: Tensor) -> Tensor:
    n, k = neighbours.shape
    rows = torch.arange(n, device=neighbours.device).repeat_interleave(k)
    columns = neighbours.flatten()
    values = weights.flatten()
    both = torch.stack([torch.cat([rows, columns]), torch.cat([columns, rows])])
    matrix = torch.sparse_coo_tensor(
        both, torch.cat([values, values]), (n, n), check_invariants=False
    )
    return matrix.coalesce()


def _confident_means(features: Tensor, text: Tensor) -> Tensor:
    top = text.topk(min(CONFIDENT, len(text)), dim=0)
    chosen = features[top.indices.T]
    return F.normalize((top.values.T[:, :, None] * chosen).sum(dim=1), dim=1)


def _means(features: Tensor, assignments: Tensor, previous: Tensor) -> Tensor:
    sums = assignments.T @ features
    norm = sums.norm(dim=1, keepdim=True)
    return torch.where(norm > 1e-12, sums / norm.clamp_min(1e-12), previous)


def _variance(features: Tensor, assignments: Tensor, means: Tensor) -> Tensor:
    # The sum of z (f - m)^2 opened up, so that no (n_images, n_classes, dim) tensor is made.
    weight = assignments.sum(dim=0)
    squares = assignments.sum(dim=1) @ features.square()
    cross = ((assignments.T @ features) * means).sum(dim=0)
    total = squares - 2 * cross + weight @ means.square()
    return (total / weight.sum()).clamp_min(1e-8)


def _log_likelihood(features: Tensor, means: Tensor, variance: Tensor) -> Tensor:
    inverse = 1 / variance
    squares = features.square() @ inverse
    cross = features @ (means * inverse).T
    return -0.5 * (squares[:, None] - 2 * cross + (means.square() @ inverse)[None, :])
