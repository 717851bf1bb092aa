"""Layers that methods are built from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.config.method import GcnSettings
from sreclip.methods.data import ClassGraph, FitData


class ImageAdapter(nn.Module):
    """``norm(f + a_v g(f))``: attention over class and node texts, and a bottleneck MLP.

    Each image is a query of its own: a prediction never depends on the rest of the batch. Output
    layers start at zero: before training the adapter is the identity. Of several `stacked` adapters
    each sees its own images, ``(n_adapters, n_images, dim)``.
    """

    def __init__(self, dim: int, width: int, scale: float, attention: bool) -> None:
        super().__init__()
        self.scale = scale
        self.attention = attention
        self.query, self.key, self.value = (nn.Linear(dim, width, bias=False) for _ in range(3))
        self.mlp = nn.Sequential(nn.Linear(dim, width), nn.GELU())
        self.out = nn.Linear(2 * width if attention else width, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor, texts: Tensor) -> Tensor:
        """Adapt ``(..., n_images, dim)`` with the help of ``texts`` ``(n_texts, dim)``."""
        return F.normalize(features + self._hidden(features, texts) @ self._output().mT, dim=-1)

    def cosines(self, features: Tensor, texts: Tensor, vectors: Tensor) -> Tensor:
        """Return cosines of adapted images and unit-norm ``vectors`` ``(..., n_vectors, dim)``.

        Adapted images are never made: they are much wider than what they are made of. With
        ``f + W h``, h being hidden values and a 1 for the bias,

            (f + W h).e = f.e + h.(W^T e),  |f + W h|^2 = f.f + h.(2 W^T f + W^T W h)
        """
        hidden, output = self._hidden(features, texts), self._output()
        products = features @ vectors.mT + hidden @ (vectors @ output).mT
        within = 2 * (features @ output) + hidden @ (output.mT @ output)
        squares = torch.linalg.vector_norm(features, dim=-1).square() + (hidden * within).sum(
            dim=-1
        )
        return products * squares.clamp_min(1e-24).rsqrt().unsqueeze(-1)

    def _hidden(self, features: Tensor, texts: Tensor) -> Tensor:
        inner, size = cast(nn.Linear, self.mlp[0]), features.shape[-1] ** 0.5
        hidden = F.gelu(torch.add(inner.bias.unsqueeze(-2), features @ inner.weight.mT, alpha=size))
        parts = [hidden, hidden.new_ones(*hidden.shape[:-1], 1)]
        if self.attention:
            query, key = features @ self.query.weight.mT, texts @ self.key.weight.mT
            weights = F.softmax(query @ (key * key.shape[-1] ** 0.5).mT, dim=-1)
            parts.insert(1, weights @ (texts @ self.value.weight.mT))
        return torch.cat(parts, dim=-1)

    def _output(self) -> Tensor:
        """Return weight and bias of the last layer, scaled: ``(..., dim, n_hidden + 1)``."""
        return self.scale * torch.cat([self.out.weight, self.out.bias.unsqueeze(-1)], dim=-1)


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

    def forward(
        self, text: Tensor, graph: ClassGraph, generators: Sequence[torch.Generator] = ()
    ) -> Tensor:
        """Adapt class vectors ``(n_classes, dim)``, for each of `stacked` adapters.

        Generators, one per adapter, draw what is dropped out; without them nothing is.
        """
        hidden = linear(drop_out(graph.node_features, self.dropout, generators), self.first)
        hidden = F.leaky_relu(sparse_product(graph.adjacency, hidden), 0.2)
        hidden = drop_out(hidden, self.dropout, generators)
        # The rows of A_hat sum to 1: it can come before the layer, bias included.
        change = linear(sparse_product(graph.class_rows, hidden), self.second)
        return F.normalize(text + self.scale * change, dim=-1)


def linear(values: Tensor, layer: nn.Linear) -> Tensor:
    """Apply a layer, or each of several `stacked` ones to its own ``values`` or to the same."""
    return values @ layer.weight.mT + layer.bias.unsqueeze(-2)


def drop_out(values: Tensor, p: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Return what torch's dropout gives with each generator as its own, one after another.

    ``values`` are ``(n_rows, n_columns)``, or a table per generator. The numbers are drawn on the
    CPU, so that they are the same for every device.
    """
    if not (p and generators):
        return values
    kept = torch.empty(len(generators), *values.shape[-2:])
    for mask, generator in zip(kept, generators, strict=True):
        mask.bernoulli_(1 - p, generator=generator)
    return values * kept.div_(1 - p).to(values.device)


class BatchAttentionAdapter(nn.Module):
    """``softmax(Q K^T / sqrt(out_dim)) V + V``: attention among all images of the batch."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(in_dim, out_dim) for _ in range(3))

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(..., n_images, in_dim)`` to ``(..., n_images, out_dim)``, each batch by itself."""
        query, key, value = self.query(features), self.key(features), self.value(features)
        weights = F.softmax(query @ key.mT / math.sqrt(query.shape[-1]), dim=-1)
        return weights @ value + value


def load_prefixed(module: nn.Module, state: Mapping[str, Tensor], prefix: str) -> None:
    """Load the tensors whose names start with ``prefix``, on the device where these are."""
    own = {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
    module.to(next(iter(own.values())).device).load_state_dict(own)


def identity_adapter(dim: int) -> nn.Linear:
    """Return ``A f + b``, which is f at first."""
    adapter = nn.utils.skip_init(nn.Linear, dim, dim)
    nn.init.eye_(adapter.weight)
    nn.init.zeros_(adapter.bias)
    return adapter


class GraphConvolution(nn.Module):
    """``A_hat drop(X) W + b``: Xavier-uniform weight ``(in_dim, out_dim)``, bias zero at first."""

    def __init__(self, in_dim: int, out_dim: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = dropout
        self.weight = nn.Parameter(torch.empty(in_dim, out_dim))
        self.bias = nn.Parameter(torch.zeros(out_dim))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, nodes: Tensor, adjacency: Tensor | None = None) -> Tensor:
        """Map ``(n_nodes, in_dim)`` to ``(n_rows, out_dim)``; without the graph, to all nodes.

        ``adjacency`` is sparse, ``(n_rows, n_nodes)``. Its product comes first, so that the dense
        one has no more rows than are wanted.
        """
        if self.training:
            nodes = dropout(nodes, self.dropout)
        if adjacency is not None:
            nodes = sparse_product(adjacency, nodes)
        return nodes @ self.weight + self.bias


class PrototypeGcn(nn.Module):
    """Unit-norm class rows of ``GC2(LeakyReLU_0.2(GC1(node vectors)))``.

    Hidden rows that no class row depends on are not computed.
    """

    def __init__(self, in_dim: int, width: int, out_dim: int, dropout: float) -> None:
        super().__init__()
        self.first = GraphConvolution(in_dim, width, dropout)
        self.second = GraphConvolution(width, out_dim, dropout)

    def forward(self, graph: ClassGraph) -> Tensor:
        """Return prototypes ``e_c``, ``(n_classes, out_dim)``."""
        hidden = F.leaky_relu(self.first(graph.node_features, graph.near_adjacency), 0.2)
        return F.normalize(self.second(hidden, graph.class_adjacency), dim=1)


def prototype_gcn(data: FitData, settings: GcnSettings, out_dim: int) -> PrototypeGcn:
    """Return a `PrototypeGcn` for the graph of a fit, on its device."""
    nodes = data.graph.node_features
    gcn = PrototypeGcn(nodes.shape[1], settings.gcn_width, out_dim, settings.dropout)
    return gcn.to(nodes.device)


def dropout(values: Tensor, p: float) -> Tensor:
    """Zero each entry with probability ``p``, in steps of 2**-16, and divide the rest by ``1 - p``.

    Torch's own dropout draws a Bernoulli number per entry and fills a mask, each a tenth of a step
    on a CPU; this takes 16 random bits per entry, and a product.
    """
    if p == 0:
        return values
    words = values.new_empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[: values.numel()].view(values.shape)
    kept = (bits >= round(p * 2**16) - 2**15).to(values.dtype)
    return values * kept.mul_(1 / (1 - p))


def sparse_product(adjacency: Tensor, nodes: Tensor) -> Tensor:
    """Return ``A X`` of a sparse A and ``(..., n_nodes, width)``.

    Outside autocast, since its gradient needs float32.
    """
    with torch.autocast(nodes.device.type, enabled=False):
        columns = nodes.to(adjacency.dtype).movedim(-2, 0)
        product = torch.sparse.mm(adjacency, columns.flatten(1))
        return product.view(-1, *columns.shape[1:]).movedim(0, -2)


class FeatureBank:
    """The last ``size`` target outputs of the adapter, in any order, without gradient."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.features: Tensor | None = None
        self._oldest = 0

    def add(self, features: Tensor) -> bool:
        """Add a batch; return whether the bank was full before."""
        new = features.detach()[-self.size :]
        if self.features is None:
            self.features = new.clone()
            return False
        if len(self.features) < self.size:
            self.features = torch.cat([self.features, new])[-self.size :]
            return False
        places = (self._oldest + torch.arange(len(new), device=new.device)) % self.size
        self.features[places] = new
        self._oldest = (self._oldest + len(new)) % self.size
        return True
