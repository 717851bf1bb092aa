"""Near duplicates, outliers and labels that look wrong, on made-up features with planted ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from sreclip.features.images import ImageFeatures
from sreclip.findings import neighbours
from sreclip.findings.neighbours import find_neighbours
from sreclip.findings.source_labels import find_suspects


@dataclasses.dataclass
class Fake:
    """What is read of `ImageFeatures`."""

    features: NDArray[np.float32]
    row_id: NDArray[np.int64]
    ok: NDArray[np.bool_]


def images(features: NDArray[np.float64], first_id: int = 0) -> ImageFeatures:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    row_id = np.arange(len(unit)) + first_id
    fake = Fake(unit.astype(np.float32), row_id, np.ones(len(unit), dtype=bool))
    return fake  # type: ignore[return-value]


def classes(n_classes: int, n: int, dim: int = 16, noise: float = 0.15) -> NDArray[np.float64]:
    rng = np.random.default_rng(n)
    centres = rng.standard_normal((n_classes, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return centres[np.arange(n) % n_classes] + noise * rng.standard_normal((n, dim))


@pytest.mark.parametrize("chunk", [7, 4096])
def test_planted_copies_and_strangers_are_found(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(neighbours, "CHUNK", chunk)
    rng = np.random.default_rng(1)
    source = images(rng.standard_normal((60, 16)), 1000)
    target_features = classes(4, 150)
    target_features[[5, 77]] = source.features[[9, 31]] + 0.01
    target_features[140] = -target_features[:4].sum(axis=0)
    target = images(target_features)
    target.ok[20] = False
    found = find_neighbours(source, target, most=3)
    pairs = {(pair.source, pair.target) for pair in found.pairs}
    assert {(1009, 5), (1031, 77)} <= pairs
    assert all(pair.cosine >= neighbours.NEAR for pair in found.pairs)
    assert 140 in [outlier.target for outlier in found.outliers]
    cosines = target.features @ target.features.T
    np.fill_diagonal(cosines, -1)
    cosines[:, 20] = -1
    expected = np.sort(cosines[140])[-10:].mean()
    got = next(outlier for outlier in found.outliers if outlier.target == 140)
    assert got.cosine == pytest.approx(expected, abs=1e-5)


def test_few_images_have_no_outlier() -> None:
    few = images(classes(2, 50))
    assert find_neighbours(few, few, 5).outliers == []


def test_a_part_of_many_images_is_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MOST_REFERENCES", 40)
    found = find_neighbours(images(classes(3, 90)), images(classes(3, 120)), 5)
    assert (found.n_source, found.n_target) == (40, 40)


def test_changed_labels_are_suspects() -> None:
    features, labels = images(classes(5, 200)), np.arange(200) % 5
    changed = labels.copy()
    changed[[3, 50, 121]] = [0, 2, 4]
    found = find_suspects(features, changed, most=10)
    assert {suspect.source for suspect in found.suspects[:3]} == {3, 50, 121}
    by_row = {suspect.source: suspect for suspect in found.suspects}
    assert [by_row[row].looks_like for row in (3, 50, 121)] == labels[[3, 50, 121]].tolist()
    assert [by_row[row].label for row in (3, 50, 121)] == [0, 2, 4]
    assert found.accuracy == pytest.approx(197 / 200, abs=0.01)


def test_nothing_is_said_where_classes_cannot_be_told_apart() -> None:
    rng = np.random.default_rng(2)
    found = find_suspects(images(rng.standard_normal((100, 16))), rng.integers(5, size=100), 10)
    assert found.suspects == []
    assert found.accuracy is not None
    assert found.accuracy < 0.5


@pytest.mark.parametrize("labels", [[0] * 12, list(range(12))])
def test_one_class_or_one_image_per_class_cannot_be_judged(labels: list[int]) -> None:
    found = find_suspects(images(classes(3, 12)), np.array(labels), 10)
    assert (found.suspects, found.accuracy) == ([], None)


def test_classes_of_one_image_are_left_out() -> None:
    labels = np.array([*(np.arange(30) % 3), 7])
    found = find_suspects(images(classes(3, 31)), labels, 10)
    assert found.n_images == 30
