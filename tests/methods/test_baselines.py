"""Each baseline against an independent small implementation or its closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from scipy.special import log_softmax

from sreclip.errors import FitError
from sreclip.methods.data import ClassGraph, ClassText, draw_shots
from sreclip.methods.gcn_zsl import DenseGcn, GcnZsl, distance_groups
from sreclip.methods.linear_probe import LinearProbe, hold_out, regress
from sreclip.methods.logits import Block, assemble
from sreclip.methods.regression import class_means
from sreclip.methods.taskres import TaskRes
from sreclip.methods.tip_adapter import TipAdapter
from sreclip.methods.tip_adapter_f import TipAdapterF
from sreclip.methods.transclip import TransClip
from sreclip.methods.zlap import Zlap
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.transclip import transclip
from sreclip.refinement.zlap import normalized_graph, solve_blocks

DIM, CLASSES, SCALE = 6, 5, 20.0
# Known and unknown classes are interleaved, so that a mix-up of numberings shows.
KNOWN = torch.tensor([True, False, True, True, False])


@pytest.fixture
def problem() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    text = F.normalize(torch.randn(CLASSES, DIM, generator=generator), dim=1)
    labels = torch.tensor([0, 2, 3])[torch.arange(30) % 3]
    source = F.normalize(text[labels] + 0.4 * torch.randn(30, DIM, generator=generator), dim=1)
    target = F.normalize(torch.randn(25, DIM, generator=generator), dim=1)
    adjacency = torch.eye(CLASSES) + torch.eye(CLASSES).roll(1, 0)
    return {
        "source_features": source,
        "source_labels": labels,
        "target_features": target,
        "text": ClassText(text, SCALE, KNOWN),
        "graph": ClassGraph(
            text,
            (adjacency / 2).to_sparse(),
            torch.stack([torch.arange(CLASSES - 1), torch.arange(1, CLASSES)], dim=1),
            torch.arange(CLASSES),
            torch.eye(CLASSES),
        ),
    }


def frozen(problem: dict[str, Any]) -> torch.Tensor:
    return SCALE * problem["target_features"] @ problem["text"].features.T


def test_transclip_is_the_refinement_of_zero_shot(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    block = Block(torch.arange(25), torch.arange(CLASSES), frozen(problem))
    refined = transclip(target, Candidates.from_blocks([block], 25, CLASSES))
    logits = TransClip().fit(**problem).logits(target)
    torch.testing.assert_close(logits.softmax(dim=1), refined.log_p.exp())


def test_zlap_gives_the_propagated_scores(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    graph = normalized_graph(target, problem["text"].features, k=3, gamma=2.0)
    blocks = solve_blocks(graph, CLASSES, alpha=0.6)
    logits = Zlap(k=3, gamma=2.0, alpha=0.6).fit(**problem).logits(target)
    torch.testing.assert_close(logits, assemble(blocks, 25, CLASSES))


def test_tip_adapter_by_loop(problem: dict[str, Any]) -> None:
    target, source, labels = (
        problem[key] for key in ("target_features", "source_features", "source_labels")
    )
    method = TipAdapter(alpha=0.7, beta=2.0, shots=100, centered=False).fit(**problem)
    expected = frozen(problem)
    for i, f in enumerate(target):
        for key, label in zip(source, labels, strict=True):
            expected[i, label] += 0.7 * torch.exp(-2.0 * (1 - f @ key))
    torch.testing.assert_close(method.logits(target), expected)
    centered = TipAdapter(alpha=0.7, beta=2.0, shots=100).fit(**problem).logits(target)
    torch.testing.assert_close(centered[:, ~KNOWN], frozen(problem)[:, ~KNOWN])
    torch.testing.assert_close(
        centered[:, KNOWN].mean(dim=1), frozen(problem)[:, KNOWN].mean(dim=1)
    )
    torch.testing.assert_close(
        centered[:, KNOWN] - centered[:, [0]], expected[:, KNOWN] - expected[:, [0]]
    )


def test_tip_adapter_makes_up_for_fewer_images(problem: dict[str, Any]) -> None:
    # The same image once, twice and four times: each class's keys weigh the same in all.
    labels = torch.tensor([0, 2, 2, 3, 3, 3, 3])
    same = problem["source_features"][:1].expand(7, DIM).clone()
    change = {"source_features": same, "source_labels": labels}
    method = TipAdapter(centered=False).fit(**problem | change)
    gain = method.logits(problem["target_features"]) - frozen(problem)
    affinity = torch.exp(-(1 - problem["target_features"] @ same[0]))
    expected = 4 * 1.17 * affinity[:, None] * KNOWN
    torch.testing.assert_close(gain, expected, rtol=1e-4, atol=1e-4)


def test_shots_are_drawn_class_by_class() -> None:
    labels = torch.tensor([2, 0, 2, 2, 0, 3])
    rows = draw_shots(labels, 2, torch.Generator().manual_seed(0))
    assert sorted(labels[rows].tolist()) == [0, 0, 2, 2, 3]
    assert len(rows.unique()) == 5


def test_tip_adapter_f_starts_as_tip_adapter_and_learns(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    start = TipAdapterF(epochs=0).fit(**problem).logits(target)
    torch.testing.assert_close(start, TipAdapter().fit(**problem).logits(target))
    trained = TipAdapterF(epochs=50, lr=0.05).fit(**problem)
    assert trained.history_[-1]["source"] < trained.history_[0]["source"]
    torch.testing.assert_close(trained.logits(target)[:, ~KNOWN], frozen(problem)[:, ~KNOWN])
    assert len(TipAdapterF(epochs=3, batch_size=10).fit(**problem).history_) == 9


def test_taskres_starts_as_zero_shot_and_leaves_unknown_classes(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    start = TaskRes(steps=0).fit(**problem).logits(target)
    torch.testing.assert_close(start, frozen(problem))
    method = TaskRes(steps=30).fit(**problem)
    assert method.history_[-1]["source"] < method.history_[0]["source"]
    logits = method.logits(target)
    torch.testing.assert_close(logits[:, ~KNOWN], frozen(problem)[:, ~KNOWN])
    assert not torch.allclose(logits[:, KNOWN], frozen(problem)[:, KNOWN])


def test_taskres_first_step_by_hand(problem: dict[str, Any]) -> None:
    # Adam's first step is lr times the gradient's sign, whatever its size.
    method = TaskRes(alpha=0.5, lr=0.01, steps=1).fit(**problem)
    text = problem["text"].features.clone().requires_grad_()
    logits = SCALE * problem["source_features"] @ F.normalize(text[KNOWN], dim=1).T
    labels = torch.tensor([0, -1, 1, 2, -1])[problem["source_labels"]]
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels), text)
    torch.testing.assert_close(
        method.residual_.detach(), -0.01 * gradient.sign(), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_regression_against_a_plain_minimiser(n_classes: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), np.arange(30) % n_classes
    weight, bias = regress(x, y, 0.5)

    def loss(flat: np.ndarray) -> float:
        w, b = flat[: n_classes * 4].reshape(n_classes, 4), flat[n_classes * 4 :]
        log_p = log_softmax(x @ w.T + b, axis=1)
        # For two classes scikit-learn's penalty is on the difference of the rows.
        size = 0.5 * ((w[1] - w[0]) ** 2).sum() if n_classes == 2 else 0.5 * (w**2).sum()
        return 0.5 * size - log_p[np.arange(30), y].sum()

    best = minimize(loss, np.zeros(n_classes * 5), tol=1e-12).x
    expected = best[: n_classes * 4].reshape(n_classes, 4)
    np.testing.assert_allclose(weight, expected - expected.mean(axis=0), atol=2e-3)
    expected_bias = best[n_classes * 4 :]
    np.testing.assert_allclose(bias, expected_bias - expected_bias.mean(), atol=2e-3)


def test_linear_probe_logits(problem: dict[str, Any]) -> None:
    method = LinearProbe().fit(**problem)
    assert method.l2_ in np.geomspace(10.0, 1e-4, 6)
    best = min(method.history_, key=lambda record: record["holdout"])
    assert method.l2_ == np.geomspace(10.0, 1e-4, 6)[int(best["step"]) - 1]
    labels = np.array([0, -1, 1, 2, -1])[problem["source_labels"].numpy()]
    weight, bias = regress(problem["source_features"].double().numpy(), labels, method.l2_)
    logits, zero_shot = method.logits(problem["target_features"]), frozen(problem)
    torch.testing.assert_close(logits[:, ~KNOWN], zero_shot[:, ~KNOWN])
    raw = problem["target_features"].double().numpy() @ weight.T + bias
    ours = logits[:, KNOWN] - zero_shot[:, KNOWN].mean(dim=1, keepdim=True)
    np.testing.assert_allclose(ours.numpy(), raw * float(method.scale_), rtol=1e-3, atol=1e-4)
    # On the source images the deviations from the known mean are as large as the frozen model's.
    source = problem["source_features"]
    for_source = method.logits(source)[:, KNOWN]
    frozen_source = (SCALE * source @ problem["text"].features.T)[:, KNOWN]
    spreads = [
        (rows - rows.mean(dim=1, keepdim=True)).square().mean()
        for rows in (for_source, frozen_source)
    ]
    torch.testing.assert_close(*spreads)


def test_hold_out_takes_one_of_each_class_that_has_two() -> None:
    labels = np.array([0] * 10 + [1] * 2 + [2])
    held = hold_out(labels, 0.2, torch.Generator().manual_seed(0))
    assert [int(held[labels == label].sum()) for label in range(3)] == [2, 1, 0]


def test_linear_probe_says_what_is_too_much(
    problem: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    n, known = len(problem["source_features"]), int(problem["text"].known.sum())
    monkeypatch.setattr("sreclip.methods.linear_probe.MAX_LOGITS", n * known)
    LinearProbe(l2_count=1).fit(**problem)
    monkeypatch.setattr("sreclip.methods.linear_probe.MAX_LOGITS", 2 * known * known)
    with pytest.raises(FitError, match=f"hold {n} x {known} logits") as caught:
        LinearProbe(l2_count=1).fit(**problem)
    assert "shots to 2 or less" in caught.value.hint
    few = LinearProbe(l2_count=1, shots=2).fit(**problem)
    assert torch.isfinite(few.logits(problem["target_features"])).all()


def test_linear_probe_with_one_image_a_class_and_with_one_known_class(
    problem: dict[str, Any],
) -> None:
    single = {key: problem[key][:3] for key in ("source_features", "source_labels")}
    method = LinearProbe().fit(**problem | single)
    assert method.l2_ == 10.0
    assert torch.isfinite(method.logits(problem["target_features"])).all()
    alone = ClassText(problem["text"].features, SCALE, torch.arange(CLASSES) == 0)
    first = problem["source_labels"] == 0
    change = {key: problem[key][first] for key in ("source_features", "source_labels")}
    method = LinearProbe().fit(**problem | change | {"text": alone})
    torch.testing.assert_close(method.logits(problem["target_features"]), frozen(problem))


def test_class_means() -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    means = class_means(features, torch.tensor([0, 0, 2]), 3)
    torch.testing.assert_close(means, torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, 0.0], [0.6, 0.8]]))


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
    """Row-normalised 0/1 matrices by shortest distance, from the powers of the edges' matrix."""
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
