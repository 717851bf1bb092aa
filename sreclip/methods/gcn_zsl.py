"""Zero-shot classifiers from a graph convolution (zGCN, dGCN)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.config.methods import GcnZslSettings
from sreclip.graph.adjacency import ancestor_adjacency
from sreclip.methods.base import Method, minimize
from sreclip.methods.data import ClassGraph, FitData, sparse_tensor
from sreclip.methods.layers import PrototypeGcn, sparse_product
from sreclip.methods.training import regression


class DenseGcn(PrototypeGcn):
    """Unit-norm class rows of two convolutions on the dense graph, descendants first.

    ``H = LeakyReLU_0.2(sum_d a_d D_d (drop(X) W1 + b1))``, ``E = sum_d a'_d U_d (drop(H) W2 +
    b2)``: D_d and U_d average over the descendants and over the ancestors at distance d, a and a'
    are softmaxes of learned numbers, equal at first. ``descendants`` are the sparse D_d and
    ``ancestors`` the U_d, one per group of distances; non-empty rows sum to 1.
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
        super().__init__(in_dim, width, out_dim, dropout)
        self.descendants, self.ancestors = descendants, ancestors
        self.descendant_weights = nn.Parameter(torch.zeros(len(descendants)))
        self.ancestor_weights = nn.Parameter(torch.zeros(len(ancestors)))

    def forward(self, graph: ClassGraph) -> Tensor:
        """Return class vectors e_c, ``(n_classes, out_dim)``."""
        hidden = self.first(graph.node_features)
        hidden = F.leaky_relu(_spread(hidden, self.descendants, self.descendant_weights), 0.2)
        nodes = _spread(self.second(hidden), self.ancestors, self.ancestor_weights)
        return F.normalize(nodes[graph.class_nodes], dim=1)


def _spread(nodes: Tensor, groups: Sequence[Tensor], raw_weights: Tensor) -> Tensor:
    pairs = zip(raw_weights.softmax(dim=0), groups, strict=True)
    return torch.stack([weight * sparse_product(group, nodes) for weight, group in pairs]).sum(0)


def distance_groups(n_nodes: int, edges: np.ndarray, max_distance: int) -> list[Tensor]:
    """Return `ancestor_adjacency` as sparse tensors, without those that join nothing."""
    groups = ancestor_adjacency(n_nodes, edges, max_distance)
    return [sparse_tensor(group) for group in groups if group.nnz]


class GcnZsl(Method):
    """A GCN regresses the classifiers of known classes; those of unknown classes follow.

    ``sum_c |e_c - m_c|^2 / (2 K)`` over the K known classes is minimized, e_c being the unit-norm
    class rows of two graph convolutions on the relation graph and m_c the known classifiers;
    logits are ``s f.e_c`` for all classes. Sources: Wang, Ye, Gupta, CVPR 2018; the two-layer form
    with row-normalized adjacency is Kampffmeyer et al.'s, CVPR 2019, and so is the dense graph
    (`DenseGcn`).

    Deviations from the original: a known classifier is the normalized mean of the class's source
    features, not a row of a trained network's last layer; node vectors are the backbone's own text
    vectors; width 1024 and 300 steps instead of 2048 and 3000. Known classes, too, are classified
    by the output of the GCN. The authors of the dense form then train the network on known classes
    with these classifiers; here it stays frozen.
    """

    title = "zGCN/dGCN"
    citation = "Wang et al., CVPR 2018; Kampffmeyer et al., CVPR 2019"
    settings: GcnZslSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        settings = self.settings
        self.gcn_ = self._gcn(data.graph, data.text.features.shape[1])
        optimizer, terms = regression(self.gcn_, data, settings.lr, settings.weight_decay)
        minimize([self], optimizer, terms, settings.steps)

    def _gcn(self, graph: ClassGraph, dim: int) -> nn.Module:
        settings, nodes = self.settings, graph.node_features
        sizes = (nodes.shape[1], settings.gcn_width, dim, settings.dropout)
        if settings.graph == "hierarchy":
            return PrototypeGcn(*sizes).to(nodes.device)
        edges, farthest = graph.edges.cpu().numpy(), settings.max_distance
        descendants, ancestors = (
            [group.to(nodes.device) for group in distance_groups(len(nodes), way, farthest)]
            for way in (edges[:, ::-1], edges)
        )
        return DenseGcn(*sizes, descendants, ancestors).to(nodes.device)

    @torch.no_grad()
    def _finish(self, data: FitData) -> None:
        self.classifiers_ = self.gcn_.eval()(data.graph)

    def _logits(self, features: Tensor) -> Tensor:
        return self.text_.logit_scale * features @ self.classifiers_.T

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        self.classifiers_ = state["classifiers"]

    def _state(self) -> dict[str, Tensor]:
        return {"classifiers": self.classifiers_}
