"""The images behind the points of the feature map."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sreclip.data.manifest import find_rows
from sreclip.data.place import image_names
from sreclip.evaluate.stored import Evaluation
from sreclip.features.viewing import has_images
from sreclip.plan.plan import Plan
from sreclip.report.embedded import embedded_json
from sreclip.report.feature_map import Maps
from sreclip.report.sampling import in_turn
from sreclip.report.thumbnails import OPENED_PIXELS, thumbnails


@dataclass(frozen=True)
class MapImages:
    """Points of each domain, and those whose image is in the page, (source, target).

    ``title`` is that of the method that predicts. ``json`` has the names of classes; per point
    path, whether it is of the target, class on the map, label and predicted class, -1 for none;
    and thumbnails by the number of their point.
    """

    title: str
    n: tuple[int, int]
    n_seen: tuple[int, int]
    json: str


def make_map_images(
    plan: Plan, found: Maps, last: Evaluation, elsewhere: Collection[str]
) -> MapImages | None:
    """Draw half of ``report.gallery`` images of each domain by seed, one of each class in turn.

    Images that are elsewhere in the page, by path, are not put there twice. None without a map.
    """
    if found.problem:
        return None
    wanted = plan.params.report.gallery // 2 if has_images(plan) else 0
    rows = find_rows(plan.task.path, np.unique(found.row_id).tolist()).set_index("row_id")
    paths = image_names(rows).loc[found.row_id.tolist()].tolist()
    rng = np.random.default_rng(plan.params.report.seed)
    drawn = np.concatenate(
        [_drawn(found, found.is_target == target, wanted, rng) for target in (False, True)]
    )
    bare = [at for at in drawn.tolist() if not (found.is_target[at] and paths[at] in elsewhere)]
    ids = [int(found.row_id[at]) for at in bare]
    own = {
        at: [image.uri, image.width, image.height]
        for at, image in zip(bare, thumbnails(plan, ids, OPENED_PIXELS), strict=True)
        if image is not None
    }
    seen = [
        at in own or bool(target and path in elsewhere)
        for at, (path, target) in enumerate(zip(paths, found.is_target, strict=True))
    ]
    counts = [(found.is_target == target) for target in (False, True)]
    points = zip(paths, found.is_target, found.classes, found.label, found.predicted, strict=True)
    content = {
        "classes": list(last.classes),
        "known": last.known.tolist(),
        "points": [[path, *(int(value) for value in values)] for path, *values in points],
        "images": own,
    }
    return MapImages(
        found.title,
        (int(counts[0].sum()), int(counts[1].sum())),
        (int(np.sum(seen, where=counts[0])), int(np.sum(seen, where=counts[1]))),
        embedded_json(content),
    )


def _drawn(
    found: Maps, among: NDArray[np.bool_], wanted: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the numbers of points, in random order one of each class, then another of each."""
    places = rng.permutation(np.flatnonzero(among))
    return places[in_turn(found.classes[places])][:wanted]
