"""The images behind the points of the feature map."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest

from sreclip.data.manifest import read_manifest
from sreclip.evaluate.stored import read_evaluations, read_predictions
from sreclip.plan.plan import Plan
from sreclip.report.feature_map import Maps
from sreclip.report.map_images import MapImages, make_map_images
from sreclip.report.projection import Projection


def made_up_map(plan: Plan) -> Maps:
    """A map of all images, at places that mean nothing."""
    rows = read_manifest(plan.task.path, ["row_id", "domain", "label"])
    target = (rows["domain"] == "target").to_numpy()
    last = read_evaluations(plan.comparison.inputs)[-1]
    found = read_predictions(plan.evaluation(last.method), ["row_id", "label", "predicted"])
    found = found.set_index("row_id").reindex(rows["row_id"])
    # The labels of the target are not in the manifest.
    label = rows["label"].astype(float).fillna(found["label"].set_axis(rows.index))
    label, guess = (each.fillna(-1).to_numpy(np.int64) for each in (label, found["predicted"]))
    return Maps(
        Projection(np.random.default_rng(0).standard_normal((len(rows), 2)), ("x", "y")),
        target,
        np.maximum(np.where(label >= 0, label, guess), 0),
        rows["row_id"].to_numpy(np.int64),
        label,
        guess,
        title=last.title,
    )


def with_gallery(plan: Plan, n: int) -> Plan:
    report = plan.params.report.model_copy(update={"gallery": n})
    return dataclasses.replace(plan, params=plan.params.model_copy(update={"report": report}))


def made(plan: Plan, n: int, elsewhere: frozenset[str] = frozenset()) -> MapImages:
    last = read_evaluations(plan.comparison.inputs)[-1]
    images = make_map_images(with_gallery(plan, n), made_up_map(plan), last, elsewhere)
    assert images is not None
    return images


def test_every_point_has_path_and_classes(plan: Plan) -> None:
    content = json.loads(made(plan, 300).json)
    found = made_up_map(plan)
    rows = read_manifest(plan.task.path, ["path"])
    assert [point[0] for point in content["points"]] == rows["path"].tolist()
    assert [point[1] for point in content["points"]] == found.is_target.astype(int).tolist()
    # Images are in folders that are called by the numbers of their classes.
    assert all(point[3] == int(point[0].split("/")[1]) for point in content["points"])
    assert content["points"][0][4] == -1  # of a source image nothing is predicted
    assert len(content["points"]) == 8 * (5 + 8)


def test_few_thumbnails_of_each_class_in_turn(plan: Plan) -> None:
    images = made(plan, 32)
    content = json.loads(images.json)
    points = [content["points"][int(number)] for number in content["images"]]
    # Sixteen of each domain: three or four of five known source classes, two of eight target ones.
    counts = Counter((domain, label) for _, domain, label, *_ in points)
    assert images.n == (40, 64)
    assert images.n_seen[0] == 16
    assert {n for (domain, _), n in counts.items() if domain == 0} <= {3, 4}
    assert {n for (domain, _), n in counts.items() if domain == 1} <= {1, 2}  # one is broken
    assert images.n_seen == tuple(sum(p[1] == domain for p in points) for domain in (0, 1))


def test_what_is_in_the_gallery_is_not_there_twice(plan: Plan) -> None:
    paths = read_manifest(plan.task.path, ["path", "domain"])
    targets = frozenset(paths["path"][paths["domain"] == "target"])
    images = made(plan, 32, targets)
    content = json.loads(images.json)
    assert {content["points"][int(number)][1] for number in content["images"]} == {0}
    assert images.n_seen == (16, 64)


def test_without_a_gallery_no_image_is_in_the_page(plan: Plan) -> None:
    images = made(plan, 0)
    assert images.n_seen == (0, 0)
    assert json.loads(images.json)["images"] == {}


def test_the_draw_is_the_same_each_time(plan: Plan) -> None:
    assert made(plan, 20).json == made(plan, 20).json


def test_without_a_map_there_is_nothing(plan: Plan) -> None:
    last = read_evaluations(plan.comparison.inputs)[-1]
    none = dataclasses.replace(made_up_map(plan), problem="no features")
    assert make_map_images(plan, none, last, ()) is None


@pytest.mark.parametrize("labelled", [True, False])
def test_the_rule_is_stated(plan: Plan, monkeypatch: pytest.MonkeyPatch, labelled: bool) -> None:
    from sreclip.report import page
    from tests.report.test_page import section

    monkeypatch.setattr(page, "read_maps", lambda plan, last: made_up_map(plan))
    if not labelled:
        monkeypatch.setattr(page, "make_gallery", lambda plan, results: None)
    text = section(page.render_page(plan), "map")
    assert "images of 40 of 40 source and 6" in text
    assert "up to 150 of each domain, drawn of each class in turn (seed 0)" in text
    assert ("confusion matrix opens" in text) == labelled
