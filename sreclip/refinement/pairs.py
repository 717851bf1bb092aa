"""Products over the pairs of an image and a candidate class."""

from __future__ import annotations

import torch
from torch import Tensor

from sreclip.methods.logits import widened
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.neighbours import csr

EDGE_CHUNK = 1 << 15
IMAGE_CHUNK = 1 << 14


class AllPairs:
    """Every class is a candidate: plain matrix products.

    Values ``z_ia`` are kept per image i and its a-th candidate class, ``(n_images, k)``. ``out``
    has that shape and receives the result. The graph is W, CSR, ``(n_images, n_images)``. Features
    may be float16.
    """

    def __init__(self, features: Tensor, graph: Tensor) -> None:
        self.features = features
        self.graph = graph

    def scores(self, vectors: Tensor, offsets: Tensor, out: Tensor) -> Tensor:
        """Return ``f_i . v_c - o_c`` for ``(n_classes, dim)`` and ``(n_classes,)``."""
        return torch.mm(widened(self.features), vectors.T, out=out).sub_(offsets)

    def sums(self, values: Tensor) -> Tensor:
        """Return ``sum_i z_ic f_i``: ``(n_classes, dim)``."""
        return values.T @ widened(self.features)

    def totals(self, values: Tensor) -> Tensor:
        """Return ``sum_i z_ic``: ``(n_classes,)``."""
        return values.sum(dim=0)

    def pull(self, values: Tensor, out: Tensor) -> Tensor:
        """Return ``sum_j W_ij z_jc``."""
        return torch.mm(self.graph, values, out=out)


class SparsePairs(AllPairs):
    """Some classes, at most 255 per image, are candidates: only those pairs are computed."""

    def __init__(self, features: Tensor, graph: Tensor, candidates: Candidates) -> None:
        super().__init__(features, graph)
        self.candidates = candidates
        self.classes = candidates.classes
        n = len(self.classes)
        self.weights, self.theirs = graph.values(), graph.col_indices()
        images = torch.arange(n, device=features.device)
        # An edge of W goes from image `mine`, whose values are computed, to image `theirs`.
        self.mine = images.repeat_interleave(graph.crow_indices().diff())
        # In place: small pieces kept between large ones that are freed would waste a gigabyte.
        self.place = torch.empty(
            len(self.mine), self.classes.shape[1], dtype=torch.uint8, device=features.device
        )
        k = self.classes.shape[1]
        for edges in self._edges():
            # Where a neighbour keeps each candidate of the image; k where it does not.
            mine, theirs = self.classes[self.mine[edges]], self.classes[self.theirs[edges]]
            place = torch.searchsorted(theirs, mine).clamp_max_(k - 1)
            self.place[edges] = place.where(theirs.gather(1, place) == mine, k)

    def _edges(self) -> tuple[slice, ...]:
        n = len(self.weights)
        return tuple(slice(start, start + EDGE_CHUNK) for start in range(0, max(1, n), EDGE_CHUNK))

    def scores(self, vectors: Tensor, offsets: Tensor, out: Tensor) -> Tensor:
        n_classes, k = self.candidates.n_classes, self.classes.shape[1]
        for start in range(0, len(out), IMAGE_CHUNK):
            chunk = slice(start, start + IMAGE_CHUNK)
            part, classes = out[chunk], self.classes[chunk].flatten().long()
            counts = torch.full((len(part),), k, device=classes.device)
            pattern = csr(counts, classes, part.new_zeros(part.numel()), n_classes)
            features = widened(self.features[chunk])
            found = torch.sparse.sampled_addmm(pattern, features, vectors.T, beta=0.0)
            part.copy_((found.values() - offsets[classes]).view(part.shape))
        return out

    def sums(self, values: Tensor) -> Tensor:
        n_classes, k = self.candidates.n_classes, values.shape[1]
        sums = values.new_zeros(n_classes, self.features.shape[1])
        for start in range(0, len(values), IMAGE_CHUNK):
            chunk = slice(start, start + IMAGE_CHUNK)
            classes = self.classes[chunk].flatten()
            order = classes.argsort(stable=True)
            counts = torch.bincount(classes, minlength=n_classes)
            features = widened(self.features[chunk])
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


def pairs_of(features: Tensor, graph: Tensor | None, candidates: Candidates) -> AllPairs:
    """Return the pairs of images and classes; without a graph none is near another."""
    if graph is None:
        n = len(features)
        starts = torch.zeros(n + 1, dtype=torch.int64, device=features.device)
        graph = csr(starts.diff(), starts[:0], features.new_empty(0), n)
    if candidates.complete:
        return AllPairs(features, graph)
    return SparsePairs(features, graph, candidates)
