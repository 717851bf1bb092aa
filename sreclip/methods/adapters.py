"""Adapters of `sre_clip`: residuals on images and on class vectors that start at zero."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.methods.base import ClassGraph


class ImageAdapter(nn.Module):
    """``norm(f + a_v g(f))``: attention over class and node texts, plus a bottleneck MLP.

    Each image is a query of its own, so that a prediction never depends on what else is in the
    batch. Output layers start at zero: before training the adapter is the identity.
    """

    def __init__(self, dim: int, width: int, scale: float, attention: bool) -> None:
        super().__init__()
        self.scale = scale
        self.attention = attention
        self.query = nn.Linear(dim, width, bias=False)
        self.key = nn.Linear(dim, width, bias=False)
        self.value = nn.Linear(dim, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(dim, width), nn.GELU())
        self.out = nn.Linear(2 * width if attention else width, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor, texts: Tensor) -> Tensor:
        """Adapt ``(n_images, dim)`` with the help of ``texts`` ``(n_texts, dim)``."""
        hidden = self.mlp(features * features.shape[1] ** 0.5)
        if self.attention:
            query, key = self.query(features), self.key(texts)
            weights = F.softmax(query @ key.T * key.shape[1] ** 0.5, dim=1)
            hidden = torch.cat([hidden, weights @ self.value(texts)], dim=1)
        return F.normalize(features + self.scale * self.out(hidden), dim=1)


class ClassAdapter(nn.Module):
    """``e_c = norm(w_c + a_e GCN(A_hat, node vectors)_c)`` with two graph convolutions.

    The last layer starts at zero: before training the class vectors are the frozen ones.
    """

    def __init__(self, dim: int, width: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.scale = scale
        self.dropout = dropout
        self.first = nn.Linear(dim, width)
        self.second = nn.Linear(width, dim)
        nn.init.xavier_uniform_(self.first.weight)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, text: Tensor, graph: ClassGraph) -> Tensor:
        """Adapt class vectors ``(n_classes, dim)``."""
        hidden = F.dropout(graph.node_features, self.dropout, self.training)
        hidden = F.leaky_relu(torch.sparse.mm(graph.adjacency, self.first(hidden)), 0.2)
        hidden = F.dropout(hidden, self.dropout, self.training)
        change = torch.sparse.mm(graph.adjacency, self.second(hidden))
        return F.normalize(text + self.scale * change[graph.class_nodes], dim=1)
