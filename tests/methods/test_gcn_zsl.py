"""zGCN and dGCN against class means and plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sreclip.methods.data import ClassGraph
from sreclip.methods.gcn_zsl import DenseGcn, GcnZsl, distance_groups
from sreclip.methods.training import class_means
from tests.methods.conftest import CLASSES, KNOWN, SCALE


def test_gcn_zsl_regresses_the_known_means(problem: dict[str, Any]) -> None:
    method = GcnZsl(gcn_width=32, dropout=0.0, weight_decay=0.0, steps=200, lr=1e-2).fit(**problem)
    means = torch.stack(
        [
            F.normalize(problem["source_features"][problem["source_labels"] == c].mean(0), dim=0)
            for c in (0, 2, 3)
        ]
    )
    torch.testing.assert_close(method.classifiers_[KNOWN], means, rtol=0, atol=1e-2)
    first = GcnZsl(gcn_width=32, dropout=0.0, steps=1).fit(**problem).history_[0]["regression"]
    untrained = GcnZsl(gcn_width=32, dropout=0.0, steps=0).fit(**problem).classifiers_[KNOWN]
    assert first == pytest.approx(((untrained - means) ** 2).sum().item() / 6)
    torch.testing.assert_close(
        method.logits(problem["target_features"]),
        SCALE * problem["target_features"] @ method.classifiers_.T,
    )


# Child -> parent: a chain of five above node 0, and node 6 with two parents.
DAG = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [6, 1], [6, 4]])


def dense_groups(edges: np.ndarray, n: int, farthest: int) -> list[np.ndarray]:
    """Row-normalized 0/1 matrices by shortest distance, from the powers of the edges' matrix."""
    step = np.zeros((n, n))
    step[edges[:, 0], edges[:, 1]] = 1
    distance = np.full((n, n), np.inf)
    for length in range(n, -1, -1):
        distance[np.linalg.matrix_power(step, length) > 0] = length
    groups = [distance == d for d in range(farthest)]
    groups.append((distance >= farthest) & np.isfinite(distance))
    return [group / np.maximum(group.sum(axis=1, keepdims=True), 1) for group in groups]


@pytest.mark.parametrize("max_distance", [1, 2, 4])
def test_dense_gcn_in_numpy(max_distance: int) -> None:
    torch.manual_seed(0)
    nodes, n_groups = F.normalize(torch.randn(7, 4), dim=1), max_distance + 1
    descendants, ancestors = (
        distance_groups(7, edges, max_distance) for edges in (DAG[:, ::-1], DAG)
    )
    assert len(descendants) == len(ancestors) == n_groups
    gcn = DenseGcn(4, 5, 3, 0.5, descendants, ancestors).eval()
    with torch.no_grad():
        for parameter in gcn.parameters():
            parameter.copy_(torch.randn_like(parameter))
    weight = {name: value.detach().double().numpy() for name, value in gcn.named_parameters()}

    def spread(x: np.ndarray, edges: np.ndarray, raw: np.ndarray) -> np.ndarray:
        a = np.exp(raw) / np.exp(raw).sum()
        groups = dense_groups(edges, 7, max_distance)
        return sum(a[d] * groups[d] for d in range(n_groups)) @ x

    h = nodes.double().numpy() @ weight["first.weight"] + weight["first.bias"]
    h = spread(h, DAG[:, ::-1], weight["descendant_weights"])
    h = np.where(h > 0, h, 0.2 * h)
    e = spread(
        h @ weight["second.weight"] + weight["second.bias"], DAG, weight["ancestor_weights"]
    )[[0, 6]]
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    graph = ClassGraph(nodes, torch.eye(7), torch.from_numpy(DAG), torch.tensor([0, 6]), None)
    np.testing.assert_allclose(gcn(graph).detach().numpy(), e, rtol=1e-4, atol=1e-5)


def test_dense_groups_that_join_nothing_are_left_out() -> None:
    groups = distance_groups(3, np.array([[0, 1], [1, 2]]), 4)
    assert len(groups) == 3
    assert torch.equal(groups[0].to_dense(), torch.eye(3))
    assert torch.equal(groups[2].to_dense(), torch.tensor([[0.0, 0, 1], [0, 0, 0], [0, 0, 0]]))


def test_gcn_zsl_with_the_dense_graph(problem: dict[str, Any]) -> None:
    method = GcnZsl(graph="dense", gcn_width=32, dropout=0.0, weight_decay=0.0, steps=300, lr=1e-2)
    method.fit(**problem)
    means = class_means(problem["source_features"], problem["source_labels"], CLASSES)
    torch.testing.assert_close(method.classifiers_[KNOWN], means[KNOWN], rtol=0, atol=2e-2)
    # The problem's graph is a chain of five nodes: distances 0 to 4, or 0 and beyond.
    assert len(method.gcn_.ancestors) == 5
    parent_of = torch.diag(torch.ones(CLASSES - 1), 1)
    assert torch.equal(method.gcn_.ancestors[1].to_dense(), parent_of)
    assert torch.equal(method.gcn_.descendants[1].to_dense(), parent_of.T)
    merged = GcnZsl(graph="dense", gcn_width=8, steps=2, max_distance=1).fit(**problem)
    assert len(merged.gcn_.ancestors) == 2
