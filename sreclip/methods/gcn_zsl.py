"""Zero-shot classifiers from a graph convolution (zGCN, dGCN)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.graph.adjacency import ancestor_adjacency
from sreclip.methods.base import ClassGraph, FitData, Method, Progress, Terms
from sreclip.methods.blocks import widened
from sreclip.methods.sre_clip_reference import GraphConvolution, PrototypeGcn, sparse_product

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CHUNK = 1 << 15


class DenseGcn(nn.Module):
    """Unit-norm class rows of two convolutions on the dense graph, descendants first.

    ``H = LeakyReLU_0.2(sum_d a_d D_d (drop(X) W1 + b1))``, ``E = sum_d a'_d U_d (drop(H) W2 +
    b2)``: D_d and U_d average over the descendants and over the ancestors at distance d, a and a'
    are softmaxes of learned numbers, alike at first.

    Parameters
    ----------
    in_dim, width, out_dim : int
    dropout : float
    descendants, ancestors : sequence of sparse Tensor, each ``(n_nodes, n_nodes)``
        A group of distances each; non-empty rows sum to 1.
    """

    def __init__(
        self,
        in_dim: int,
        width: int,
        out_dim: int,
        dropout: float,
        descendants: Sequence[Tensor],
        ancestors: Sequence[Tensor],
    ) -> None:
        super().__init__()
        self.descendants, self.ancestors = descendants, ancestors
        self.first = GraphConvolution(in_dim, width, dropout)
        self.second = GraphConvolution(width, out_dim, dropout)
        self.descendant_shares = nn.Parameter(torch.zeros(len(descendants)))
        self.ancestor_shares = nn.Parameter(torch.zeros(len(ancestors)))

    def forward(self, graph: ClassGraph) -> Tensor:
        """Class vectors e_c, ``(n_classes, out_dim)``."""
        hidden = self.first.project(graph.node_features) + self.first.bias
        hidden = F.leaky_relu(_spread(hidden, self.descendants, self.descendant_shares), 0.2)
        hidden = self.second.project(hidden) + self.second.bias
        nodes = _spread(hidden, self.ancestors, self.ancestor_shares)
        return F.normalize(nodes[graph.class_nodes], dim=1)


def _spread(nodes: Tensor, groups: Sequence[Tensor], shares: Tensor) -> Tensor:
    weights = shares.softmax(dim=0)
    spread = [
        weight * sparse_product(group, nodes) for weight, group in zip(weights, groups, strict=True)
    ]
    return torch.stack(spread).sum(dim=0)


def distance_groups(n_nodes: int, edges: np.ndarray, max_distance: int) -> list[Tensor]:
    """Adjacencies from `ancestor_adjacency` as sparse tensors, without those that join nothing."""
    groups = ancestor_adjacency(n_nodes, edges, max_distance)
    return [_sparse_tensor(group) for group in groups if group.nnz]


def _sparse_tensor(matrix: csr_array) -> Tensor:
    entries = matrix.tocoo()
    indices = torch.from_numpy(np.stack([entries.row, entries.col]).astype(np.int64))
    values = torch.from_numpy(entries.data)
    size = tuple(entries.shape)
    return torch.sparse_coo_tensor(indices, values, size, check_invariants=True).coalesce()


class GcnZsl(Method):
    """A GCN regresses classifiers of known classes and so gives those of unknown ones.

    ``sum_c |e_c - m_c|^2 / (2 K)`` over the K known classes is minimised, e_c being the unit-norm
    class rows of two graph convolutions on the relation graph and m_c the known classifiers;
    logits are ``s f.e_c`` for all classes. Sources: Wang, Ye, Gupta, CVPR 2018; the two-layer form
    with row-normalised adjacency is Kampffmeyer et al.'s, CVPR 2019, and so is the dense graph
    (`DenseGcn`).

    Deviations from the original: a known classifier is the normalised mean of the class's source
    features, not a row of a trained network's last layer; node vectors are the backbone's own text
    vectors; width 1024 and 300 steps in place of 2048 and 3000. Known classes, too, are classified
    by what the GCN gives. The dense form's authors go on to train the network on known classes
    with these classifiers; here it stays frozen.

    Parameters
    ----------
    graph : {"hierarchy", "dense"}
        Convolutions on parents and children, or (dGCN) on all descendants and then all ancestors.
    max_distance : int
        Dense: relatives at this distance or beyond share a weight.
    width : int
        Hidden width.
    dropout : float
        Dropout before each graph convolution.
    lr, weight_decay : float
        Adam's.
    steps : int
        Optimisation steps, each on the whole graph.
    seed : int
        Seed of weights and dropout.
    progress : callable, optional
        Called with step, number of steps and the loss.
    """

    title = "zGCN/dGCN"
    citation = "Wang et al., CVPR 2018; Kampffmeyer et al., CVPR 2019"
    transductive = False

    def __init__(
        self,
        graph: Literal["hierarchy", "dense"] = "hierarchy",
        max_distance: int = 4,
        width: int = 1024,
        dropout: float = 0.5,
        lr: float = 1e-3,
        weight_decay: float = 5e-4,
        steps: int = 300,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.graph = graph
        self.max_distance = max_distance
        self.width = width
        self.dropout = dropout
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = steps
        self.seed = seed
        self.progress = progress

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        self.gcn_ = self._gcn(data.graph, data.text.features.shape[1])
        optimizer = torch.optim.Adam(
            self.gcn_.parameters(), lr=self.lr, weight_decay=self.weight_decay
        )
        self._minimise(optimizer, regression_terms(self.gcn_, data), self.steps)

    def _gcn(self, graph: ClassGraph, dim: int) -> nn.Module:
        nodes = graph.node_features
        sizes = (nodes.shape[1], self.width, dim, self.dropout)
        if self.graph == "hierarchy":
            return PrototypeGcn(*sizes).to(nodes.device)
        edges = graph.edges.cpu().numpy()
        descendants, ancestors = (
            [
                group.to(nodes.device)
                for group in distance_groups(len(nodes), way, self.max_distance)
            ]
            for way in (edges[:, ::-1], edges)
        )
        return DenseGcn(*sizes, descendants, ancestors).to(nodes.device)

    @torch.no_grad()
    def _finish(self, data: FitData) -> None:
        self.classifiers_ = self.gcn_.eval()(data.graph)

    def _logits(self, features: Tensor) -> Tensor:
        return self.text_.logit_scale * features @ self.classifiers_.T

    def state(self) -> dict[str, Tensor]:
        """Classifiers of all classes."""
        return {"classifiers": self.classifiers_}


def regression_terms(gcn: nn.Module, data: FitData) -> Callable[[], Terms]:
    """Loss term of a GCN whose known class vectors regress the means of the source classes."""
    known = data.text.known
    means = class_means(data.source_features, data.source_labels, len(known))[known]
    return lambda: {"regression": (1.0, regression_loss(gcn(data.graph)[known], means))}


def regression_loss(classifiers: Tensor, wanted: Tensor) -> Tensor:
    """``sum_c |e_c - m_c|^2 / (2 n)``, both ``(n, dim)``."""
    return (classifiers - wanted).square().sum() / (2 * len(wanted))


def class_means(features: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Normalised sum of each class's features, ``(n_classes, dim)``; zero without an image."""
    sums = widened(features[:0]).new_zeros(n_classes, features.shape[1])
    for chunk, numbers in zip(features.split(CHUNK), labels.split(CHUNK), strict=True):
        sums.index_add_(0, numbers, widened(chunk))
    return F.normalize(sums, dim=1)
