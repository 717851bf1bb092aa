"""Label propagation: ZLaP (Stojnic, Kalantidis, Tolias; CVPR 2024), and after any method."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from sreclip.refinement.candidates import Candidates
from sreclip.refinement.joined import Joined, Nodes, drawn
from sreclip.refinement.neighbours import (
    NeighbourSearch,
    graph_of,
    nearest_among,
    nearest_neighbours,
)
from sreclip.refinement.propagation import (
    Propagation,
    degrees,
    root_of,
    scaled,
    steps_needed,
)


@torch.no_grad()
def zlap(
    features: Tensor,
    text: Tensor,
    k: int = 5,
    gamma: float = 5.0,
    alpha: float = 0.3,
    tolerance: float = 1e-6,
    search: NeighbourSearch = nearest_neighbours,
) -> tuple[Propagation, Joined]:
    """Spread each class's label from its text over a graph of texts and images.

    The scores of class c solve ``(I - alpha S) x = y_c``, y_c 1 at the text of c. ``S = D^-1/2 W
    D^-1/2``, D the row sums of W; ``W = E + E^T``, E holding each image's cosines to its k nearest
    images (itself counted, as in the authors' code; exact by default, unlike there) and, raised to
    ``gamma``, to its k nearest texts. Negative cosines count as 0. The authors use conjugate
    gradients, `propagation.spread` another iteration. ``tolerance`` bounds each class's residual
    relative to y_c; float32 features end at about 1e-7.

    The inductive form joins another image to its k nearest texts and its k nearest images of the
    fit. Features and texts are unit-norm rows.
    """
    n_classes = len(text)
    images, cosines = search(features, k - 1)
    texts, powers = nearest_among(features, text, k)
    columns = torch.cat([texts, images + n_classes], dim=1)
    values = torch.cat([powers.clamp_min(0) ** gamma, cosines.clamp_min(0)], dim=1)
    graph, degree = _normalized(columns, values, n_classes)

    numbers = drawn(len(features), features.device)
    kept = torch.cat([torch.arange(n_classes, device=numbers.device), numbers + n_classes])
    steps = steps_needed(alpha, tolerance)
    labels = partial(_labels, degree)
    found = Propagation(graph, labels, n_classes, alpha, steps, kept, first=n_classes)
    kept_features = features[numbers].half()

    def nodes() -> dict[str, Nodes]:
        classes, scores = found.best()
        of_images = degree[n_classes:][numbers], classes[n_classes:], scores[n_classes:]
        return {
            "text": Nodes(
                text, degree[:n_classes], classes[:n_classes], scores[:n_classes], k, gamma
            ),
            "images": Nodes(kept_features, *of_images, k),
        }

    return found, Joined(nodes, alpha)


@torch.no_grad()
def propagate(
    features: Tensor,
    candidates: Candidates,
    k: int = 5,
    alpha: float = 0.3,
    tolerance: float = 1e-6,
    search: NeighbourSearch = nearest_neighbours,
) -> tuple[Propagation, Joined]:
    """Smooth any method's predictions over a graph of the images.

    The scores of class c are ``x = (1 - alpha) (I - alpha S)^-1 p_c``, p_c the images'
    probabilities of c (0 for a class that is no candidate) and S their kNN graph, symmetric and
    normalized as in `zlap`. Ours: ZLaP's graph without its texts, and the labels of Zhou et al.
    (NIPS 2003) replaced by soft ones on all images. An image without a neighbour of positive cosine
    keeps its prediction. Another image is joined to its k nearest images of the fit.
    """
    numbers, cosines = search(features, k - 1)
    graph, degree = _normalized(numbers, cosines.clamp_min(0), 0)

    predictions = partial(_predictions, candidates, 1 - alpha)
    kept, steps = drawn(len(features), features.device), steps_needed(alpha, tolerance)
    found = Propagation(graph, predictions, candidates.n_classes, alpha, steps, kept)
    kept_features = features[kept].half()
    return found, Joined(
        lambda: {"images": Nodes(kept_features, degree[kept], *found.best(), k)}, alpha, own=True
    )


def _labels(degree: Tensor, start: int, stop: int) -> Tensor:
    """Return 1 at the text of each class, ``(n_nodes, stop - start)``."""
    labels = degree.new_zeros(len(degree), stop - start)
    labels[start:stop].fill_diagonal_(1)
    return labels


def _predictions(candidates: Candidates, weight: float, start: int, stop: int) -> Tensor:
    return weight * candidates.columns(start, stop)


def _normalized(columns: Tensor, values: Tensor, n_before: int) -> tuple[Tensor, Tensor]:
    """``D^-1/2 (E + E^T) D^-1/2`` and D; E has ``n_before`` empty rows before these."""
    graph = graph_of(columns, values, n_before)
    degree = degrees(graph)
    return scaled(graph, root_of(degree)), degree
