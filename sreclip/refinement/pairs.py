"""Products over the pairs of an image and a candidate class."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from sreclip.refinement.candidates import Candidates
from sreclip.refinement.neighbours import csr

EDGE_CHUNK = 1 << 15
IMAGE_CHUNK = 1 << 14


class Pairs(Protocol):
    """Values ``z_ia`` are kept for image i and its a-th candidate class, ``(n_images, k)``.

    What is said to be in ``out`` has that shape.
    """

    def scores(self, vectors: Tensor, offsets: Tensor, out: Tensor) -> Tensor:
        """``f_i . v_c - o_c`` for ``(n_classes, dim)`` and ``(n_classes,)``, in ``out``."""

    def sums(self, values: Tensor) -> Tensor:
        """``sum_i z_ic f_i``: ``(n_classes, dim)``."""

    def totals(self, values: Tensor) -> Tensor:
        """``sum_i z_ic``: ``(n_classes,)``."""

    def pull(self, values: Tensor, out: Tensor) -> Tensor:
        """``sum_j W_ij z_jc``, in ``out``."""


class AllPairs:
    """Every class is a candidate: plain matrix products.

    Parameters
    ----------
    features : Tensor
        ``(n_images, dim)``.
    graph : Tensor
        W, CSR, ``(n_images, n_images)``.
    """

    def __init__(self, features: Tensor, graph: Tensor) -> None:
        self.features = features
        self.graph = graph

    def scores(self, vectors: Tensor, offsets: Tensor, out: Tensor) -> Tensor:
        return torch.mm(self.features, vectors.T, out=out).sub_(offsets)

    def sums(self, values: Tensor) -> Tensor:
        return values.T @ self.features

    def totals(self, values: Tensor) -> Tensor:
        return values.sum(dim=0)

    def pull(self, values: Tensor, out: Tensor) -> Tensor:
        return torch.mm(self.graph, values, out=out)


class SparsePairs:
    """Some classes are candidates: only those pairs are worked out and kept.

    Parameters
    ----------
    features, graph : Tensor
        As in `AllPairs`.
    candidates : Candidates
        At most 255 an image.
    """

    def __init__(self, features: Tensor, graph: Tensor, candidates: Candidates) -> None:
        self.features = features
        self.candidates = candidates
        self.classes = candidates.classes
        n = len(self.classes)
        self.weights, self.theirs = graph.values(), graph.col_indices()
        images = torch.arange(n, device=features.device)
        # An edge of W goes from image `mine`, whose values are worked out, to image `theirs`.
        self.mine = images.repeat_interleave(graph.crow_indices().diff())
        # In place: small pieces kept between large ones that are freed would waste a gigabyte.
        self.place = torch.empty(
            len(self.mine), self.classes.shape[1], dtype=torch.uint8, device=features.device
        )
        for edges in self._edges():
            self.place[edges] = self._places(edges)

    def _edges(self) -> tuple[slice, ...]:
        n = len(self.weights)
        return tuple(slice(start, start + EDGE_CHUNK) for start in range(0, max(1, n), EDGE_CHUNK))

    def _places(self, edges: slice) -> Tensor:
        """Where a neighbour keeps each of the image's candidates; k where it has none such."""
        mine, theirs = self.classes[self.mine[edges]], self.classes[self.theirs[edges]]
        k = mine.shape[1]
        place = torch.searchsorted(theirs, mine).clamp_max_(k - 1)
        return place.where(theirs.gather(1, place) == mine, k)

    def scores(self, vectors: Tensor, offsets: Tensor, out: Tensor) -> Tensor:
        n_classes, k = self.candidates.n_classes, self.classes.shape[1]
        for start in range(0, len(out), IMAGE_CHUNK):
            chunk = slice(start, start + IMAGE_CHUNK)
            part, classes = out[chunk], self.classes[chunk].flatten().long()
            counts = torch.full((len(part),), k, device=classes.device)
            pattern = csr(counts, classes, part.new_zeros(part.numel()), n_classes)
            features = self.features[chunk]
            found = torch.sparse.sampled_addmm(pattern, features, vectors.T, beta=0.0)
            part.copy_((found.values() - offsets[classes]).view(part.shape))
        return out

    def sums(self, values: Tensor) -> Tensor:
        n_classes, k = self.candidates.n_classes, values.shape[1]
        sums = self.features.new_zeros(n_classes, self.features.shape[1])
        for start in range(0, len(values), IMAGE_CHUNK):
            chunk = slice(start, start + IMAGE_CHUNK)
            classes = self.classes[chunk].flatten()
            order = classes.argsort(stable=True)
            counts = torch.bincount(classes, minlength=n_classes)
            features = self.features[chunk]
            by_class = csr(counts, order // k, values[chunk].flatten()[order], len(features))
            sums.addmm_(by_class, features)
        return sums

    def totals(self, values: Tensor) -> Tensor:
        totals = values.new_zeros(self.candidates.n_classes)
        return totals.index_add_(0, self.classes.flatten(), values.flatten())

    def pull(self, values: Tensor, out: Tensor) -> Tensor:
        k = values.shape[1]
        out.zero_()
        for edges in self._edges():
            place = self.place[edges].long()
            found = values[self.theirs[edges]].gather(1, place.clamp_max(k - 1))
            found.masked_fill_(place == k, 0)
            out.index_add_(0, self.mine[edges], found.mul_(self.weights[edges, None]))
        return out
