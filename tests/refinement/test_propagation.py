"""Propagation over a graph, and the best classes that it keeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from sreclip.refinement.propagation import Propagation, spread, steps_needed
from sreclip.refinement.zlap import zlap

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]


@pytest.mark.parametrize("alpha", [0.0, 1e-9, 0.3, 0.9])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
def test_residual_is_within_the_tolerance(alpha: float, tolerance: float, planted: Planted) -> None:
    features, text = planted(40, 7, 6)
    graph = zlap(features, text)[0].graph
    generator = torch.Generator().manual_seed(0)
    right = torch.rand(47, 4, generator=generator, dtype=torch.float64)
    right[:, 2] = 0
    solution = spread(graph, right, alpha, steps_needed(alpha, tolerance))
    residual = solution - alpha * (graph.to_dense() @ solution) - right
    assert (residual.norm(dim=0) <= tolerance * right.norm(dim=0) + 1e-14).all()
    assert not solution[:, 2].any()


def test_steps_are_no_more_than_needed() -> None:
    # 0.1^6 is 1e-6: five products after the start.
    assert [steps_needed(alpha, 1e-6) for alpha in (0.0, 1e-7, 1e-3, 0.11, 0.3)] == [0, 0, 1, 6, 11]


@pytest.mark.parametrize("passed", [False, True])
@pytest.mark.parametrize("most", [5, 100])
def test_best_classes_of_the_kept_nodes(
    most: int, passed: bool, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sreclip.refinement.propagation.MOST_CANDIDATES", most)
    scores = torch.rand(30, 20, generator=torch.Generator().manual_seed(0))
    kept = torch.tensor([3, 4, 29])
    calls: list[int] = []

    def right(start: int, stop: int) -> torch.Tensor:
        calls.append(start)
        return scores[:, start:stop]

    found = Propagation(torch.eye(30).to_sparse_csr(), right, 20, 1.0, 0, kept)
    if passed:
        assert len(list(found.blocks())) == 4
    classes, values = found.best()
    expected = scores[kept].topk(min(most, 20), dim=1)
    torch.testing.assert_close(values.sort(dim=1, descending=True).values, expected.values)
    torch.testing.assert_close(values, scores[kept].gather(1, classes.long()))
    assert found.best()[0] is classes
    assert len(list(found.blocks())) == 4
    assert calls == [0, 5, 10, 15] * 2
