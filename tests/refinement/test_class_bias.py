"""The bias per class against transport by POT, and EM against its own equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import ot
import pytest
import scipy.optimize
import torch
from scipy.special import softmax

from sreclip.methods.logits import Block
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.class_bias import ClassBias, class_bias, em_shares

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def predictions(planted: Planted, n: int = 60, classes: int = 4) -> torch.Tensor:
    """Logits of a target whose classes are not of one size, and a favoured class."""
    features, centres = planted(n, classes)
    sizes = torch.arange(n) % (2 * classes)
    kept = features[sizes < classes + 1]
    return 12 * kept @ centres.T + torch.linspace(0, 2, classes).double()


def candidates_of(logits: torch.Tensor, most: int = 64) -> Candidates:
    n, classes = logits.shape
    block = Block(torch.arange(n), torch.arange(classes), logits)
    return Candidates.from_blocks([block], n, classes, most)


def test_the_whole_bias_is_pots_transport_onto_equal_shares(planted: Planted) -> None:
    logits = predictions(planted)
    n, classes = logits.shape
    plan = ot.sinkhorn(
        np.full(n, 1 / n),
        np.full(classes, 1 / classes),
        -logits.numpy(),
        reg=1.0,
        numItermax=10_000,
        stopThr=1e-12,
    )
    state = class_bias(candidates_of(logits), strength=1.0)
    found = state.added_to(candidates_of(logits)).dense(torch.arange(n)).numpy()
    np.testing.assert_allclose(found, n * plan, atol=1e-6)
    np.testing.assert_allclose(found.mean(axis=0), 1 / classes, atol=1e-6)
    assert abs(float(state.bias.mean())) < 1e-12


def test_strength_scales_the_bias_and_uniform_mixes_the_shares(planted: Planted) -> None:
    candidates = candidates_of(predictions(planted))
    n, classes = candidates.log_p.shape
    whole, half = (class_bias(candidates, strength=s).bias for s in (1.0, 0.5))
    torch.testing.assert_close(half, whole / 2)
    shares = 0.25 / classes + 0.75 * em_shares(candidates)
    state = class_bias(candidates, strength=1.0, uniform=0.25)
    reached = state.added_to(candidates).dense(torch.arange(n)).mean(dim=0)
    torch.testing.assert_close(reached, shares, atol=1e-6, rtol=0)


def test_em_against_its_equations(planted: Planted) -> None:
    logits = predictions(planted)
    p = softmax(logits.numpy(), axis=1)
    mean, shares = p.mean(axis=0), np.full(p.shape[1], 1 / p.shape[1])
    for _ in range(2000):
        r = shares / mean * p
        shares = (r / r.sum(axis=1, keepdims=True)).mean(axis=0)
    found = em_shares(candidates_of(logits))
    np.testing.assert_allclose(found.numpy(), shares, atol=1e-4)
    assert float(found.sum()) == pytest.approx(1)


def test_shares_that_are_reached_need_no_bias(planted: Planted) -> None:
    logits = torch.eye(4).double()[torch.arange(40) % 4] * 5
    assert class_bias(candidates_of(logits)).bias.abs().max() < 1e-9


@pytest.mark.parametrize("most", [64, 3])
def test_pieces_change_nothing(most: int, planted: Planted, request: pytest.FixtureRequest) -> None:
    candidates = candidates_of(predictions(planted, 60, 6), most)
    whole = class_bias(candidates)
    request.getfixturevalue("small_pieces")
    torch.testing.assert_close(class_bias(candidates).bias, whole.bias, atol=1e-7, rtol=0)
    torch.testing.assert_close(
        whole.added_to(candidates).log_p.exp().sum(dim=1), torch.ones(35).double()
    )


@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_where_the_search_begins_changes_nothing(
    strength: float, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, searches = scipy.optimize.minimize, []

    def minimize(*arguments: Any, **named: Any) -> Any:
        searches.append(original(*arguments, **named))
        return searches[-1]

    candidates = candidates_of(predictions(planted))
    found = class_bias(candidates, strength)
    far = ClassBias(torch.tensor([9.0, -7, 1e3, -1e3]).double())
    monkeypatch.setattr("scipy.optimize.minimize", minimize)
    for start in (None, far, found):
        again = class_bias(candidates, strength, start=start)
        torch.testing.assert_close(again.bias, found.bias, atol=1e-4, rtol=0)
    steps = [search.nit for search in searches]
    assert steps[2] == 0 < steps[0]
    assert torch.equal(class_bias(candidates, 0.0, start=far).bias, torch.zeros(4).double())


def test_a_class_that_no_image_can_be_has_no_bias(planted: Planted) -> None:
    logits = predictions(planted, 60, 5)
    logits[:, 2] = -1e4
    for start in (None, ClassBias(torch.ones(5).double())):
        bias = class_bias(candidates_of(logits, most=3), start=start).bias
        assert bias[2] == 0
        assert torch.isfinite(bias).all()


def test_a_backbones_scale_and_spread_together_change_nothing(planted: Planted) -> None:
    """A logit scale a times as large, and cosines a times as close to each other."""
    logits = predictions(planted)
    cosines = logits / 20
    closer = cosines / 5 + 0.8
    one, other = (class_bias(candidates_of(x)).bias for x in (20 * cosines, 100 * closer))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_a_class_that_few_images_could_be_asks_for_no_more_than_half_of_them() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(60, 6, generator=generator).double()
    logits[:, 5] -= 20
    logits[:4, 5] += 20  # with three candidates per image, class 5 is one of four images
    candidates = candidates_of(logits, most=3)
    assert int((candidates.classes == 5).sum()) <= 4
    state = class_bias(candidates, strength=1.0)
    assert torch.isfinite(state.bias).all()
    reached = state.added_to(candidates).dense(torch.arange(60)).mean(dim=0)
    few = int((candidates.classes == 5).sum()) / 120
    shares = torch.tensor([1 / 6] * 5 + [few]).double()
    torch.testing.assert_close(reached, shares / shares.sum(), atol=1e-5, rtol=0)


def test_a_group_keeps_what_is_predicted_of_it(planted: Planted) -> None:
    candidates = candidates_of(predictions(planted))
    before = candidates.log_p.double().exp().mean(dim=0)
    group = torch.arange(candidates.n_classes) < 2
    after = class_bias(candidates, 1.0, group=group).added_to(candidates).log_p.exp().mean(dim=0)
    for part in (group, ~group):
        expected = before[part].mean().expand(int(part.sum()))
        torch.testing.assert_close(after[part].double(), expected, rtol=0, atol=1e-4)


def test_a_share_is_lifted_so_far_and_no_further() -> None:
    """Of three classes one is hardly predicted: it may have twice its share, and no third."""
    logits = torch.randn(400, 3, generator=torch.Generator().manual_seed(0)).double()
    logits += torch.tensor([3.0, 1.0, -2.0])
    predictions = Candidates(
        torch.arange(3, dtype=torch.int32).expand(400, -1), logits.log_softmax(dim=1), 3
    )
    mean = predictions.log_p.exp().mean(dim=0).numpy()
    assert mean[2] < 1 / 6 < mean[1] < 1 / 3 < mean[0]
    wanted = np.array([0.0, min(1 / 3, 2 * mean[1]), 2 * mean[2]])
    # The rest stays with the class that has more than its share.
    wanted[0] = 1 - wanted.sum()
    state = class_bias(predictions, strength=1.0, most_lift=2.0)
    found = state(torch.empty(400, 0), predictions).log_p.exp().mean(dim=0)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)
