"""The states of refinements and transductive methods as formulas, which an export can follow.

The states themselves score images in pieces of bounded size, and loop over what they find there.
Here an image's scores are one expression of its features, for all classes at once.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.errors import ConfigError
from sreclip.refinement.adapt import LinearGaussians
from sreclip.refinement.candidates import MOST_CANDIDATES, State
from sreclip.refinement.class_bias import ClassBias
from sreclip.refinement.gaussians import LIKELIHOOD_WEIGHT, Gaussians
from sreclip.refinement.inmap import ClassVectors
from sreclip.refinement.joined import Joined, Nodes
from sreclip.refinement.propagation import FLOOR, root_of


def scored_by(state: State, features: Tensor, logits: Tensor) -> Tensor:
    """Return the logits that a state makes of given ones, both ``(n_images, n_classes)``.

    They may differ from the state's own by a number per image. Beyond `MOST_CANDIDATES` classes
    the likeliest count alone, as there.

    Raises
    ------
    ConfigError
        There is no formula of such a state.
    """
    if logits.shape[1] <= MOST_CANDIDATES:
        return _scores(state, features, logits)
    found = _likeliest(_scores(state, features, _likeliest(logits))).log_softmax(dim=1)
    least = math.log(torch.finfo(found.dtype).tiny)
    floor = found.masked_fill(found.isinf(), 0.0).amin(dim=1, keepdim=True).clamp_max(least)
    return torch.maximum(found, floor)


def _likeliest(logits: Tensor) -> Tensor:
    """Return the logits of an image's candidates, and minus infinity for other classes."""
    best = logits.topk(MOST_CANDIDATES, dim=1)
    return torch.full_like(logits, -torch.inf).scatter(1, best.indices, best.values)


def _scores(state: State, features: Tensor, logits: Tensor) -> Tensor:
    match state:
        case ClassBias():
            return logits + state.bias
        case LinearGaussians():
            # Their softmax is over the candidates, a number per image.
            return logits + (features @ state.vectors.T - state.offsets) / state.temperature
        case Gaussians():
            return logits + LIKELIHOOD_WEIGHT * _log_likelihood(state, features)
        case ClassVectors():
            return state.logits(features)
        case Joined():
            return _joined(state, features, logits)
    raise ConfigError(f"there is no formula of {type(state).__name__}")


def _log_likelihood(state: Gaussians, features: Tensor) -> Tensor:
    precision = 1 / state.variances
    scaled = state.means * precision
    offsets = (state.means * scaled + state.variances.log()).sum(dim=1) / 2
    return features @ scaled.T - offsets - features.square() @ (precision / 2).T


def _joined(state: Joined, features: Tensor, logits: Tensor) -> Tensor:
    scores = torch.zeros_like(logits)
    kinds = [(nodes, *_edges(nodes, features)) for nodes in state.nodes.values()]
    total = torch.stack([weights.sum(dim=1) for *_, weights in kinds]).sum(dim=0)
    for nodes, numbers, weights in kinds:
        degree = weights.sum(dim=1) if state.apart else total
        roots = root_of(degree)[:, None] * root_of(nodes.degrees[numbers] + weights)
        given = state.alpha * weights * roots
        for column in range(numbers.shape[1]):
            number = numbers[:, column]
            values = nodes.scores[number].to(scores) * given[:, column, None]
            scores = scores.scatter_add(1, nodes.classes[number].long(), values)
    if state.own:
        scores = scores + (1 - state.alpha) * logits.softmax(dim=1)
    return scores.clamp_min(FLOOR).log()


def _edges(nodes: Nodes, features: Tensor) -> tuple[Tensor, Tensor]:
    if nodes.dimensions is not None:
        features = F.normalize(features * nodes.dimensions, dim=1)
    cosines = features @ nodes.features.to(features).T
    best = cosines.topk(min(nodes.k, len(nodes.features)), dim=1)
    return best.indices, best.values.clamp_min(0) ** nodes.power
