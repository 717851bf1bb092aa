"""ECALP: label propagation from texts and labelled source images (Li et al., ICLR 2025)."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.methods.logits import widened
from sreclip.refinement.joined import Joined, Nodes, drawn, held
from sreclip.refinement.neighbours import (
    NeighbourSearch,
    graph_of,
    nearest_among,
    nearest_neighbours,
)
from sreclip.refinement.propagation import Propagation, degrees, root_of, scaled

CHUNK = 8192


@torch.no_grad()
def ecalp(
    features: Tensor,
    text: Tensor,
    source: Tensor,
    labels: Tensor,
    k: tuple[int, int, int] = (3, 8, 8),
    power: float = 10.0,
    rounds: int = 3,
    balanced: bool = True,
    search: NeighbourSearch = nearest_neighbours,
) -> tuple[Propagation, Joined]:
    r"""Spread labels over a graph of texts, source images and target images.

    Each target image is joined to its nearest texts, source images and other target images, as
    many as ``k`` says of each, by cosines (negative ones count as 0) to the ``power``. Between two
    target images the cosine is that of ``m f``, dimensions weighted by the variance over classes
    of the text, :math:`m = \mathrm{var}_c(w_c) / \lVert \mathrm{var}_c(w_c) \rVert`. With ``S =
    D^-1/2 (E + E^T) D^-1/2`` the scores start at 0 and are ``rounds`` times ``z = S z``, those of
    texts and source images held at their one-hot labels.

    With ``balanced`` (ours) D is made for each kind of edge apart, to texts, source images and
    target images: cosines to texts are so small that to this power they are nothing beside others.

    Only target images have edges of their own, so that held nodes matter by what they give, ``b``:
    the rounds are ``z = b + S z`` among the target images, and b has at most ``k[0] + k[1]``
    classes per image. Features may be float16; the labels are class numbers, ``(n_source,)``.
    Another image is joined to the nodes in the same way.
    """
    n, n_classes = len(features), len(text)
    dimensions = F.normalize(text.var(dim=0, unbiased=False), dim=0)
    weighted = _weighted(features, dimensions)
    numbers, cosines = search(weighted, k[2])
    graph = graph_of(numbers, cosines.clamp_min(0) ** power)
    texts, near_text = nearest_among(features, text, k[0])
    images, near_source = nearest_among(features, source, k[1])
    near_text, near_source = near_text.clamp_min(0) ** power, near_source.clamp_min(0) ** power
    own = [near_text.sum(dim=1), near_source.sum(dim=1), degrees(graph)]
    if not balanced:
        own = [torch.stack(own).sum(dim=0)] * 3
    to_text, to_source, scale = map(root_of, own)
    text_degree = _totals(texts, near_text, n_classes)
    source_degree = _totals(images, near_source, len(source))
    classes = torch.cat([texts, labels[images]], dim=1).int()
    from_text = near_text * root_of(text_degree)[texts] * to_text[:, None]
    from_source = near_source * root_of(source_degree)[images] * to_source[:, None]
    given = torch.cat([from_text, from_source], dim=1)

    kept, source_kept = drawn(n, features.device), drawn(len(source), features.device)
    given_to = partial(_given_to, classes, given)
    found = Propagation(scaled(graph, scale), given_to, n_classes, 1.0, rounds - 1, kept)
    numbers = torch.arange(n_classes, device=text.device)
    fixed = {
        "text": held(text, text_degree, numbers, k[0], power),
        "source": held(
            source[source_kept].half(),
            source_degree[source_kept],
            labels[source_kept],
            k[1],
            power,
        ),
    }
    target, degree = weighted[kept].half(), own[2][kept]

    def nodes() -> dict[str, Nodes]:
        return fixed | {"target": Nodes(target, degree, *found.best(), k[2], power, dimensions)}

    return found, Joined(nodes, apart=balanced)


def _given_to(classes: Tensor, given: Tensor, start: int, stop: int) -> Tensor:
    """Return what texts and source images give to the target, ``(n_images, stop - start)``."""
    table = given.new_zeros(len(given), stop - start)
    here, places = ((classes >= start) & (classes < stop)).nonzero(as_tuple=True)
    columns = classes[here, places].long() - start
    return table.index_put_((here, columns), given[here, places], accumulate=True)


def _weighted(features: Tensor, dimensions: Tensor) -> Tensor:
    """Return the unit rows of ``m f``, `widened`, without a second table of that size."""
    weighted = torch.empty(features.shape, dtype=dimensions.dtype, device=features.device)
    for start in range(0, len(features), CHUNK):
        part = slice(start, start + CHUNK)
        weighted[part] = F.normalize(widened(features[part]) * dimensions, dim=1)
    return weighted


def _totals(numbers: Tensor, weights: Tensor, n: int) -> Tensor:
    """Return the sum of the weights of edges to each of ``n`` nodes."""
    return weights.new_zeros(n).index_add_(0, numbers.flatten(), weights.flatten())
