"""What a fit is given: features, class texts and the relation graph."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from sreclip.errors import FitError
from sreclip.methods.logits import collect, score_in_blocks, widened

CHECKED_ROWS = 1 << 15


@dataclass(frozen=True)
class ClassText:
    """Class vectors of the frozen model.

    Attributes
    ----------
    features
        Unit-norm class vectors ``w_c``, ``(n_classes, dim)``.
    logit_scale
        The frozen model's factor ``s`` from cosine to logits.
    known
        True for the classes with source labels, ``(n_classes,)``.
    """

    features: Tensor
    logit_scale: float
    known: Tensor

    def zero_shot_logits(self, features: Tensor) -> Tensor:
        """Return ``s f.w_c``: ``(n_images, dim)`` to ``(n_images, n_classes)``."""
        return self.logit_scale * features @ self.features.T

    def to(self, device: str) -> ClassText:
        """Move the tensors to a device."""
        return replace(self, features=self.features.to(device), known=self.known.to(device))


@dataclass(frozen=True)
class ClassGraph:
    """The semantic relation graph, ready for training.

    Attributes
    ----------
    node_features
        Unit-norm text vectors of the nodes, ``(n_nodes, dim)``.
    adjacency
        Row-normalized sparse adjacency with reverse edges and self-loops, ``(n_nodes, n_nodes)``.
    edges
        Node numbers, child and parent, ``(n_edges, 2)``.
    class_nodes
        Node number of each class, ``(n_classes,)``.
    relation
        Class relation R, symmetric, in [0, 1], diagonal 1, ``(n_classes, n_classes)``.
    """

    node_features: Tensor
    adjacency: Tensor
    edges: Tensor
    class_nodes: Tensor
    relation: Tensor

    @cached_property
    def near_nodes(self) -> Tensor:
        """Sorted numbers of the class nodes and of their neighbours, ``(n_near,)``."""
        return self.class_rows.coalesce().indices()[1].unique()

    @cached_property
    def near_adjacency(self) -> Tensor:
        """Rows of the adjacency for the near nodes, ``(n_near, n_nodes)``."""
        return self.adjacency.index_select(0, self.near_nodes)

    @cached_property
    def class_adjacency(self) -> Tensor:
        """Rows of the adjacency for the class nodes, columns of near nodes: the others are 0."""
        return self.class_rows.index_select(1, self.near_nodes)

    @cached_property
    def class_rows(self) -> Tensor:
        """Rows of the adjacency for the class nodes, ``(n_classes, n_nodes)``."""
        return self.adjacency.index_select(0, self.class_nodes)

    def to(self, device: str) -> ClassGraph:
        """Move the tensors to a device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True)
class FitData:
    """The arguments of `Method.fit`; features may be kept in float16."""

    source_features: Tensor
    source_labels: Tensor
    target_features: Tensor
    text: ClassText
    graph: ClassGraph

    def source(self, rows: Tensor) -> Tensor:
        """Return the features of some source images, `widened`."""
        return widened(self.source_features[rows])

    def target(self, rows: Tensor) -> Tensor:
        """Return the features of some target images, `widened`."""
        return widened(self.target_features[rows])

    @cached_property
    def zero_shot_margin(self) -> NDArray:
        """Best known minus best unknown logit of the frozen model, ``(n_target,)``."""
        target, known = self.target_features, self.text.known
        frozen = score_in_blocks(self.text.zero_shot_logits, target, len(known))
        return collect(frozen, len(target), known).margin

    def check(self) -> None:
        """Raise `FitError` unless everything fits together."""
        n_classes, dim = self.text.features.shape
        known = self.text.known
        for name, features in (("source", self.source_features), ("target", self.target_features)):
            if features.ndim != 2 or features.shape[1] != dim:
                raise FitError(
                    f"{name} features have shape {tuple(features.shape)}, "
                    f"class vectors are {dim} wide"
                )
            if len(features) == 0:
                raise FitError(f"there is no usable {name} image")
            for number, chunk in enumerate(features.split(CHECKED_ROWS)):
                bad = (~torch.isfinite(chunk).all(dim=1)).nonzero()
                if len(bad):
                    row = number * CHECKED_ROWS + int(bad[0])
                    raise FitError(f"{name} features: row {row} is not finite")
        if known.shape != (n_classes,) or not known.any():
            raise FitError(f"of {n_classes} classes none is known")
        present = torch.zeros(n_classes, dtype=torch.bool, device=known.device)
        present[self.source_labels] = True
        if len(wrong := (present & ~known).nonzero()):
            raise FitError(f"class {int(wrong[0])} is unknown but has labelled source images")
        if len(wrong := (known & ~present).nonzero()):
            raise FitError(
                f"class {int(wrong[0])} is known but has no usable source image",
                "add images of it to the source domain or list it in split.unknown",
            )
        relation, nodes = self.graph.relation, self.graph.class_nodes
        if relation.shape != (n_classes, n_classes):
            raise FitError(
                f"the relation matrix has shape {tuple(relation.shape)}, "
                f"expected ({n_classes}, {n_classes})",
                "build the graph again for this class list",
            )
        if nodes.shape != (n_classes,):
            raise FitError(f"the graph places {len(nodes)} classes of {n_classes}")


def sparse_tensor(matrix: csr_array) -> Tensor:
    """Return a scipy matrix as a coalesced tensor."""
    entries = matrix.tocoo()
    places = torch.from_numpy(np.stack([entries.row, entries.col]).astype(np.int64))
    values = torch.from_numpy(entries.data)
    shape = tuple(entries.shape)
    return torch.sparse_coo_tensor(places, values, shape, check_invariants=False).coalesce()


def known_labels(labels: Tensor, known: Tensor) -> Tensor:
    """Renumber class labels to positions among the known classes."""
    return (torch.cumsum(known.long(), 0) - 1)[labels]


def spaced(n: int, most: int) -> slice:
    """Return the evenly spaced ones of n, at most so many."""
    return slice(None, None, max(1, math.ceil(n / most)))


def batches(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield batches of row numbers without end, each pass over the rows in a new order.

    A batch is ``min(size, n)`` long; a remainder shorter than that is left out of its pass.
    """
    size = min(size, n)
    while True:
        order = torch.randperm(n, generator=generator)
        for start in range(0, n - size + 1, size):
            yield order[start : start + size]


def draw_shots(labels: Tensor, shots: int, generator: torch.Generator) -> Tensor:
    """Return the rows of up to ``shots`` random images per class, class by class."""
    order = torch.randperm(len(labels), generator=generator).to(labels.device)
    shuffled = labels[order]
    counts = shuffled.unique(return_counts=True)[1].tolist()
    by_class = order[shuffled.argsort(stable=True)].split(counts)
    return torch.cat([rows[:shots] for rows in by_class])
