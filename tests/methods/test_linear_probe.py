"""The linear probe against a plain minimizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax

from sreclip.errors import FitError
from sreclip.methods.data import ClassText
from sreclip.methods.linear_probe import LinearProbe, hold_out, regress
from tests.methods.conftest import CLASSES, KNOWN, SCALE, frozen


@pytest.mark.parametrize("n_classes", [2, 3])
def test_regression_against_a_plain_minimizer(n_classes: int) -> None:
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


def test_linear_probe_with_one_image_per_class_and_with_one_known_class(
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


@pytest.mark.filterwarnings("error")
def test_many_classes_with_few_images_are_no_warning() -> None:
    weight, bias = regress(np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) // 2, 1.0)
    assert weight.shape == (15, 4)
    assert np.isfinite(bias).all()
