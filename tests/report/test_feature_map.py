"""The map of the features."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from sreclip.errors import ConfigError
from sreclip.evaluate.stored import read_evaluations
from sreclip.methods.clip_adapter import ClipAdapter
from sreclip.methods.placed import Gaussians
from sreclip.plan.plan import Plan
from sreclip.report.adapted import MOVES, Images
from sreclip.report.feature_map import RING, Maps, map_figures, read_maps
from sreclip.report.projection import Projection, principal_axes, project


def test_axes_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    features = rng.standard_normal((50, 8)) * np.arange(1, 9)
    places, shares = principal_axes(features)
    pca = PCA(2).fit(features)
    assert np.abs(places) == pytest.approx(np.abs(pca.transform(features)), abs=1e-9)
    assert shares == pytest.approx(pca.explained_variance_ratio_)
    assert (places[np.abs(places).argmax(axis=0), [0, 1]] > 0).all()


@pytest.mark.parametrize("n", [1, 2])
def test_few_images_have_a_place_too(n: int) -> None:
    places, shares = principal_axes(np.eye(4)[:n])
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()
    assert sum(shares) <= 1 + 1e-12


def test_umap_keeps_neighbours_and_is_drawn_by_its_seed() -> None:
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((4, 80))
    features = np.repeat(centres, 20, axis=0) + 0.1 * rng.standard_normal((80, 80))
    found = [project(features, "umap", seed) for seed in (0, 0, 1)]
    assert np.array_equal(found[0].places, found[1].places)
    assert not np.array_equal(found[0].places, found[2].places)
    assert trustworthiness(features, found[0].places, n_neighbors=5) > 0.9
    assert found[0].axes == ("UMAP, first axis", "UMAP, second axis")
    few = project(features[:19], "umap")
    assert np.array_equal(few.places, principal_axes(features[:19])[0])


def test_umap_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ConfigError, match="umap-learn is not installed"):
        project(np.eye(30), "umap")


def some_images() -> Images:
    rng = np.random.default_rng(2)
    features = rng.standard_normal((60, 6)) + 3
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return Images(features[:30], features[30:], np.arange(30) % 3)


def test_clip_adapter_moves_images_as_the_method_does() -> None:
    images = some_images()
    torch.manual_seed(0)
    method = ClipAdapter(ratio=0.4, reduction=2)
    method.adapter_ = method._adapter(torch.zeros(5, 6))
    state = {name: each.numpy() for name, each in method.adapter_.state_dict().items()}
    moved, _ = MOVES["clip_adapter"]({"ratio": 0.4}, state, images)
    expected = method.image_features(torch.from_numpy(images.target).float())
    assert moved.target == pytest.approx(expected.detach().numpy(), abs=1e-5)


def test_sre_clip_puts_source_means_where_it_places_known_classes() -> None:
    images = some_images()
    rng = np.random.default_rng(3)
    whitener = torch.from_numpy(np.eye(6) + 0.2 * rng.standard_normal((6, 6)))
    shift = rng.standard_normal(6)
    means = np.stack([images.source[images.source_classes == c].mean(axis=0) for c in range(3)])
    unknown = rng.standard_normal((2, 6))
    placed = torch.from_numpy(np.concatenate([means + shift, unknown]))
    gaussians = Gaussians.about(placed, torch.full((5,), 7.0).double(), whitener, 0.3, 0.2)
    state = {name: each.numpy() for name, each in vars(gaussians).items()}
    moved, words = MOVES["sre_clip"]({"steps": 0}, state, images)
    assert moved.source == pytest.approx((images.source + shift) @ whitener.numpy())
    assert moved.target == pytest.approx(images.target @ whitener.numpy())
    assert "moved by the mean shift" in words
    # With adapters, or with nothing placed, it is not what the formula says.
    assert MOVES["sre_clip"]({"steps": 10}, state, images) is None
    assert MOVES["sre_clip"]({"steps": 0}, {}, images) is None


def test_all_maps_show_every_image(plan: Plan) -> None:
    last = read_evaluations(plan.comparison.inputs)[-1]
    rng = np.random.default_rng(0)
    one, two = (Projection(rng.standard_normal((40, 2)), ("x", "y")) for _ in range(2))
    classes, rows = rng.integers(8, size=40), np.arange(40)
    found = Maps(one, rows % 2 == 0, classes, rows, classes, classes, two, "SRE-CLIP", "moved")
    colours = {"known": "#3b6fb6", "unknown": "#d9822b"}
    figures = map_figures(found, last, colours)
    assert list(figures) == [
        "before adaptation, by domain",
        "before adaptation, by class",
        "after adaptation, by domain",
        "after adaptation, by class",
    ]
    for figure, places in zip(figures.values(), (one, one, two, two), strict=True):
        *traces, ring = figure.data
        points = [(x, each[1]) for t in traces for x, each in zip(t.x, t.customdata, strict=True)]
        assert sorted(number for _, number in points) == list(range(40))
        assert all(x == round(places.places[number, 0], 3) for x, number in points)
        assert (ring.name, ring.x) == (RING, (None,))
        names = [trace.name for trace in figure.data if trace.showlegend]
        assert len(names) == len(set(names))
    one_class = dataclasses.replace(found, classes=np.zeros(40, dtype=int), after=None)
    figures = map_figures(one_class, last, colours)
    assert len(figures) == 2
    by_class = figures["before adaptation, by class"]
    assert {trace.name for trace in by_class.data} == {last.classes[0], RING}


def test_without_features_the_reason_is_said(plan: Plan) -> None:
    last = read_evaluations(plan.comparison.inputs)[-1]
    expected = "the feature files of the source and target are not on this machine"
    assert read_maps(plan, last).problem == expected
