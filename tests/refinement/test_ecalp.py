"""ECALP against the whole matrix of its graph, texts and source images held by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sreclip.methods.logits import assemble
from sreclip.refinement.ecalp import ecalp

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]
Problem = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def problem(planted: Planted, n: int = 40, classes: int = 12, n_source: int = 30) -> Problem:
    """Target images, texts, and source images of the first two thirds of the classes."""
    features, text = planted(n, classes, 8)
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(n_source) % (classes * 2 // 3)
    noise = torch.randn(n_source, 8, generator=generator).double()
    return features, text, F.normalize(text[labels] + 0.3 * noise, dim=1), labels


def dense(
    f: np.ndarray,
    w: np.ndarray,
    x: np.ndarray,
    labels: np.ndarray,
    k: tuple[int, int, int],
    power: float,
    rounds: int,
    balanced: bool,
) -> np.ndarray:
    """The scores of the target images; nodes are texts, source images and target images."""
    n_classes, n_source, n = len(w), len(x), len(f)
    m = w.var(axis=0)
    m = m / np.sqrt((m**2).sum())
    first = {"text": 0, "source": n_classes, "target": n_classes + n_source}
    edges = {kind: np.zeros((n_classes + n_source + n,) * 2) for kind in first}
    for i in range(n):
        own = first["target"] + i
        weighted = [
            (m * f[i]) @ (m * g) / np.linalg.norm(m * f[i]) / np.linalg.norm(m * g) for g in f
        ]
        weighted[i] = -2.0
        cosines = {"text": w @ f[i], "source": x @ f[i], "target": np.array(weighted)}
        for number, kind in enumerate(first):
            for j in np.argsort(-cosines[kind])[: k[number]]:
                if kind != "target" or j != i:
                    edges[kind][own, first[kind] + j] = max(0.0, cosines[kind][j]) ** power
    parts = list(edges.values()) if balanced else [sum(edges.values())]
    s = np.zeros_like(edges["text"])
    for part in parts:
        both = part + part.T
        degree = both.sum(axis=1)
        degree[degree == 0] = 1
        s += both / np.sqrt(np.outer(degree, degree))
    held = np.zeros((n_classes + n_source, n_classes))
    held[np.arange(n_classes), np.arange(n_classes)] = 1
    held[n_classes + np.arange(n_source), labels] = 1
    z = np.concatenate([held, np.zeros((n, n_classes))])
    for _ in range(rounds):
        z = s @ z
        z[: len(held)] = held
    return z[len(held) :]


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("classes", [12, 70])
@pytest.mark.parametrize(
    ("k", "power", "rounds"),
    [((3, 8, 8), 10.0, 3), ((1, 2, 3), 1.0, 1), ((2, 100, 100), 2.0, 5)],
)
def test_against_the_whole_graph(
    k: tuple[int, int, int],
    power: float,
    rounds: int,
    classes: int,
    balanced: bool,
    planted: Planted,
    small_pieces: None,
) -> None:
    data = problem(planted, classes=classes, n_source=60)
    found, _ = ecalp(*data, k, power, rounds, balanced)
    blocks = list(found.blocks())
    assert len(blocks) > 1
    scores = assemble(blocks, 40, classes).exp().numpy()
    expected = dense(*(value.numpy() for value in data), k, power, rounds, balanced)
    assert (expected > 1e-12).any(axis=1).all()
    np.testing.assert_allclose(scores, np.maximum(expected, 1e-12), rtol=1e-8)


def test_balanced_texts_are_heard_beside_source_images(planted: Planted) -> None:
    features, text, source, labels = problem(planted, 240)
    # As with CLIP, all images are near to each other and far from all texts.
    features, source = (
        F.normalize(F.pad(images, (0, 1), value=2.0), dim=1) for images in (features, source)
    )
    text = F.pad(text, (0, 1))
    unknown = torch.arange(240) % 12 >= 8
    shares = []
    for balanced in (True, False):
        found, _ = ecalp(features, text, source, labels, balanced=balanced)
        scores = assemble(found.blocks(), 240, 12).softmax(dim=1)
        shares.append(float(scores[unknown, 8:].sum(dim=1).mean()))
    assert shares[0] > 10 * shares[1]


def test_float16_images_are_searched_a_part_at_a_time(
    planted: Planted, largest: Any, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sreclip.refinement.joined.MOST_KEPT", 20)
    features, text, source, labels = problem(planted, 300, 40, 3000)
    data = features.half(), text.float(), source.half(), labels
    with largest:
        found, state = ecalp(*data, (2, 2, 2))
        for _ in found.blocks():
            pass
        state.tensors()
    # The largest are the source images as they were given.
    assert largest.bytes <= data[2].nbytes


def test_one_image_one_class_one_source_image(planted: Planted) -> None:
    features, text = planted(1, 1)
    found, state = ecalp(features, text, features, torch.zeros(1, dtype=torch.long))
    scores = assemble(found.blocks(), 1, 1)
    # One edge to the text and one to the source image, each the only one of its kind.
    torch.testing.assert_close(scores.exp(), torch.full((1, 1), 2.0).double())
    assert all(torch.isfinite(value).all() for value in state.tensors().values())
