"""GDA against scikit-learn and a plain loop over its equations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from sreclip.evaluate.accuracy import class_mean_h
from sreclip.methods.data import ClassGraph, ClassText
from sreclip.methods.gda import ALPHAS, FOLDS, Gda
from sreclip.methods.held_out import hold_out_classes
from sreclip.methods.logits import collect
from tests.methods.conftest import array

DIM = 8


def problem(classes: int = 12, known: int = 9, n: int = 120) -> dict[str, Any]:
    """Planted classes of unequal size, float64; the texts are turned away from the images."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).double()

    centres = F.normalize(noise(classes, DIM), dim=1)
    text = F.normalize(centres + 0.5 * noise(classes, DIM), dim=1)
    labels = torch.arange(n) % known
    labels[: n // 4] = 0
    wanted = torch.arange(n) % classes
    is_known = (torch.arange(classes) * 5 % classes) < known
    numbers = is_known.nonzero()[:, 0]
    return {
        "source_features": F.normalize(centres[numbers[labels]] + 0.3 * noise(n, DIM), dim=1),
        "source_labels": numbers[labels],
        "target_features": F.normalize(centres[wanted] + 0.3 * noise(n, DIM), dim=1),
        "text": ClassText(text, 20.0, is_known),
        "graph": ClassGraph(
            text, torch.eye(classes).to_sparse(), torch.zeros(0, 2), numbers, torch.eye(classes)
        ),
    }


def fitted(data: dict[str, Any], **settings: Any) -> Gda:
    graph = replace(data["graph"], class_nodes=torch.arange(len(data["text"].known)))
    return Gda(**settings).fit(**data | {"graph": graph})


def plain(data: dict[str, Any], alpha: float, nearest: int, copies: int, shrunk: bool) -> Any:
    x, y, f = (array(data[key]) for key in ("source_features", "source_labels", "target_features"))
    w, known = array(data["text"].features), data["text"].known.numpy()
    mu, covariances = np.zeros_like(w), []
    for c in range(len(w)):
        if known[c]:
            mu[c] = x[y == c].mean(axis=0)
            if (y == c).sum() > 1:
                covariances.append(np.cov(x[y == c].T))
        else:
            near = np.argsort(-f @ w[c])[:nearest]
            mu[c] = np.concatenate([f[near], np.tile(w[c], (copies, 1))]).mean(axis=0)
    sigma = np.mean(covariances, axis=0)
    if shrunk:
        precision = DIM * np.linalg.inv((len(x) - 1) * sigma + np.trace(sigma) * np.eye(DIM))
    else:
        precision = np.linalg.inv(sigma)
    gaussian = [[i @ precision @ m - m @ precision @ m / 2 for m in mu] for i in f]
    return data["text"].logit_scale * f @ w.T + alpha * np.array(gaussian)


@pytest.mark.parametrize("shrunk", [False, True])
@pytest.mark.parametrize(("nearest", "copies"), [(64, 16), (10, 0), (1000, 3)])
@pytest.mark.parametrize(("classes", "known"), [(12, 9), (80, 50)])
def test_against_the_equations(
    classes: int, known: int, nearest: int, copies: int, shrunk: bool
) -> None:
    data = problem(classes, known, 300)
    method = fitted(data, alpha=0.3, nearest=nearest, copies=copies, shrunk=shrunk)
    logits = method.logits(data["target_features"])
    expected = plain(data, 0.3, nearest, copies, shrunk)
    np.testing.assert_allclose(array(logits), expected, rtol=1e-8, atol=1e-8)
    state = method.state()
    gaussian = data["target_features"] @ state["vectors"].T - state["offsets"]
    by_hand = 20 * data["target_features"] @ data["text"].features.T + state["alpha"] * gaussian
    torch.testing.assert_close(logits, by_hand, check_dtype=False)


def test_known_classes_are_those_of_linear_discriminant_analysis() -> None:
    data = problem(6, 6)
    size = 20
    rows = torch.cat([(data["source_labels"] == c).nonzero()[:, 0] for c in range(6)])
    labels = torch.arange(6).repeat_interleave(size)
    source = data["source_features"][rows[: 6 * size]]
    data |= {"source_features": source, "source_labels": labels}
    lda = LinearDiscriminantAnalysis(solver="lsqr", priors=np.full(6, 1 / 6))
    lda.fit(source.numpy(), labels.numpy())
    method = fitted(data, alpha=1.0, shrunk=False)
    gaussian = method.logits(data["target_features"]) - data["text"].zero_shot_logits(
        data["target_features"]
    )
    # scikit-learn divides by the number of images, not by one less.
    expected = (lda.decision_function(data["target_features"].numpy()) + np.log(6)) * 19 / 20
    np.testing.assert_allclose(array(gaussian), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("calibration", ["none", "class_prior"])
def test_alpha_is_the_best_for_held_out_classes(calibration: str) -> None:
    data = problem()
    labels, known = data["source_labels"].numpy(), data["text"].known.numpy()
    h = np.zeros(len(ALPHAS))
    for fold in range(FOLDS):
        held, still = hold_out_classes(labels, known, 0.2, np.random.default_rng(fold))
        images = data["source_features"][held]
        trial = data | {
            "source_features": data["source_features"][~held],
            "source_labels": data["source_labels"][~held],
            "target_features": torch.cat([data["target_features"], images]),
            "text": replace(data["text"], known=torch.from_numpy(still)),
        }
        for number, alpha in enumerate(ALPHAS):
            method = fitted(trial, alpha=alpha, calibration=calibration)
            scores = collect(method.logit_blocks(images), len(images), torch.from_numpy(still))
            h[number] += class_mean_h(scores, labels[held], still)
    chosen = fitted(data, calibration=calibration)
    assert h.max() > h[0]
    assert chosen.alpha_ == ALPHAS[h.argmax()] > 0
    given = fitted(data, calibration=calibration, alpha=chosen.alpha_)
    target = data["target_features"]
    assert torch.equal(chosen.logits(target), given.logits(target))


def test_without_a_class_of_two_images_it_is_zero_shot() -> None:
    data = problem()
    first = [int((data["source_labels"] == c).nonzero()[0]) for c in data["graph"].class_nodes]
    data |= {key: data[key][first] for key in ("source_features", "source_labels")}
    target = data["target_features"]
    for alpha in (None, 1.0):
        logits = fitted(data, alpha=alpha).logits(target)
        assert torch.equal(logits, data["text"].zero_shot_logits(target))


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = problem(80, 50, 300)
    target = data["target_features"]
    whole = fitted(data, alpha=0.3, nearest=20).logits(target)
    monkeypatch.setattr("sreclip.methods.class_statistics.BLOCK_VALUES", 7 * 30)
    torch.testing.assert_close(fitted(data, alpha=0.3, nearest=20).logits(target), whole)
