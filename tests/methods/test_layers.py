"""Layers against plain numpy and values worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax

from sreclip.methods.data import ClassGraph
from sreclip.methods.layers import (
    BatchAttentionAdapter,
    FeatureBank,
    GraphConvolution,
    PrototypeGcn,
    dropout,
    identity_adapter,
)
from tests.methods.conftest import DIM, array


def linear(x: np.ndarray, layer: torch.nn.Linear) -> np.ndarray:
    return x @ array(layer.weight).T + array(layer.bias)


def test_adapter_in_numpy() -> None:
    torch.manual_seed(0)
    adapter = BatchAttentionAdapter(4, 6)
    x = torch.randn(5, 4)
    q, k, v = (linear(array(x), layer) for layer in (adapter.query, adapter.key, adapter.value))
    expected = softmax(q @ k.T / np.sqrt(6), axis=1) @ v + v
    np.testing.assert_allclose(array(adapter(x)), expected, rtol=1e-5, atol=1e-6)


def test_adapter_on_one_image_doubles_the_value() -> None:
    adapter = BatchAttentionAdapter(4, 6)
    x = torch.randn(1, 4)
    torch.testing.assert_close(adapter(x), 2 * adapter.value(x))


def test_adapter_attends_over_each_of_several_batches_by_itself() -> None:
    adapter = BatchAttentionAdapter(4, 6)
    batches = torch.randn(3, 5, 4)
    torch.testing.assert_close(adapter(batches), torch.stack([adapter(x) for x in batches]))


def test_graph_convolution_by_hand() -> None:
    layer = GraphConvolution(2, 1, dropout=0.0)
    assert layer.bias.tolist() == [0]
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0], [2.0]]))
        layer.bias.fill_(0.5)
    nodes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]])
    adjacency = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]).to_sparse()
    # Projections 1, 2, 5; the first two are averaged.
    assert layer(nodes, adjacency).squeeze(1).tolist() == [2.0, 2.0, 5.5]


def test_graph_convolution_drops_only_in_training() -> None:
    torch.manual_seed(0)
    layer = GraphConvolution(51, 1)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    nodes, adjacency = torch.ones(1, 51), torch.eye(1).to_sparse()
    total = layer(nodes, adjacency).item()
    assert 0 < total < 102
    assert total % 2 == 0
    assert layer.eval()(nodes, adjacency).item() == 51


def test_prototypes_in_numpy(problem: dict[str, Any]) -> None:
    torch.manual_seed(0)
    graph = problem["graph"]
    gcn = PrototypeGcn(DIM, 4, 3, 0.5).eval()
    a, x = array(graph.adjacency.to_dense()), array(graph.node_features)
    h = a @ x @ array(gcn.first.weight)
    h = np.where(h > 0, h, 0.2 * h)
    e = a @ h @ array(gcn.second.weight)
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    np.testing.assert_allclose(array(gcn(graph)), e, rtol=1e-4, atol=1e-6)


def test_rows_that_reach_no_class_are_not_worked_out() -> None:
    # A chain of six nodes; the first two are the classes.
    nodes = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    chain = torch.eye(6) + torch.eye(6).roll(1, 0) + torch.eye(6).roll(-1, 0)
    chain[0, 5] = chain[5, 0] = 0
    adjacency = (chain / chain.sum(dim=1, keepdim=True)).to_sparse()
    no_edges = torch.empty(0, 2, dtype=torch.int64)
    graph = ClassGraph(nodes, adjacency, no_edges, torch.tensor([1, 0]), torch.eye(2))
    assert graph.near_nodes.tolist() == [0, 1, 2]
    assert torch.equal(graph.near_adjacency.to_dense(), adjacency.to_dense()[:3])
    assert torch.equal(graph.class_adjacency.to_dense(), adjacency.to_dense()[[1, 0], :3])
    gcn = PrototypeGcn(4, 5, 6, 0.0)
    hidden = F.leaky_relu(gcn.first(nodes, adjacency), 0.2)
    expected = F.normalize(gcn.second(hidden, adjacency)[[1, 0]], dim=1)
    torch.testing.assert_close(gcn(graph), expected)


def test_bank_keeps_the_last_and_says_when_it_was_full() -> None:
    bank = FeatureBank(3)
    rows = torch.arange(8.0, requires_grad=True).reshape(4, 2, 1)
    assert [bank.add(batch) for batch in rows] == [False, False, True, True]
    assert bank.features is not None
    assert sorted(bank.features.flatten().tolist()) == [5, 6, 7]
    assert not bank.features.requires_grad


@pytest.mark.parametrize("sizes", [[2, 2, 2, 2, 2], [5, 1, 3, 2], [1] * 9, [9, 4]])
def test_bank_holds_the_last_of_batches_of_any_size(sizes: list[int]) -> None:
    bank, seen = FeatureBank(5), 0
    for size in sizes:
        full = seen >= 5
        batch = torch.arange(seen, seen + size, dtype=torch.float32)[:, None]
        seen += size
        assert bank.add(batch) == full
        assert bank.features is not None
        assert sorted(bank.features.flatten().tolist()) == list(range(max(0, seen - 5), seen))


@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 0.9])
def test_dropout_zeroes_a_fraction_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    values = torch.ones(501, 997, requires_grad=True)
    dropped = dropout(values, p)
    dropped.sum().backward()
    fraction = (dropped == 0).float().mean().item()
    # Half a million draws: four standard errors are 0.003 at most.
    assert fraction == pytest.approx(p, abs=0.003)
    assert dropped[dropped != 0].unique().tolist() == pytest.approx([1 / (1 - p)])
    assert torch.equal(values.grad, dropped.detach())
    again = dropout(values, p)
    assert p == 0 or not torch.equal(again, dropped)
    # Neighbours use one random word: they must not be dropped together.
    kept = (dropped != 0).float().flatten()
    for distance in (1, 2, 3, 4):
        both = (kept[:-distance] * kept[distance:]).mean().item()
        assert both == pytest.approx((1 - p) ** 2, abs=0.004)


def test_the_adapter_starts_as_the_identity() -> None:
    features = F.normalize(torch.randn(3, DIM), dim=1)
    torch.testing.assert_close(identity_adapter(DIM)(features), features)
