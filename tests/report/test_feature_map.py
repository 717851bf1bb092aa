"""The map of the features."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.decomposition import PCA

from sreclip.evaluate.stored import read_evaluations
from sreclip.plan.plan import Plan
from sreclip.report.feature_map import FeatureMap, map_figures, principal_axes, read_map


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


def test_both_maps_show_every_image(plan: Plan) -> None:
    last = read_evaluations(plan.comparison.inputs)[-1]
    rng = np.random.default_rng(0)
    found = FeatureMap(
        rng.standard_normal((40, 2)),
        np.arange(40) % 2 == 0,
        rng.integers(8, size=40),
        (0.5, 0.2),
    )
    colours = {"known": "#3b6fb6", "unknown": "#d9822b"}
    for figure in map_figures(found, last, colours).values():
        assert sum(len(trace.x) for trace in figure.data) == 40
        names = [trace.name for trace in figure.data if trace.showlegend]
        assert len(names) == len(set(names))
    one_class = dataclasses.replace(found, classes=np.zeros(40, dtype=int))
    by_class = map_figures(one_class, last, colours)["class"]
    assert {trace.name for trace in by_class.data} == {last.classes[0]}


def test_without_features_the_reason_is_said(plan: Plan) -> None:
    last = read_evaluations(plan.comparison.inputs)[-1]
    expected = "the feature files of the source and target are not on this machine"
    assert read_map(plan, last).problem == expected
