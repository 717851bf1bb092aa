"""Labelled images that can be opened from the numbers of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sreclip.evaluate.stored import Evaluation, read_predictions
from sreclip.features.viewing import has_images
from sreclip.plan.plan import Plan
from sreclip.report.embedded import embedded_json
from sreclip.report.sampling import in_turn
from sreclip.report.thumbnails import OPENED_PIXELS, thumbnails


@dataclass(frozen=True)
class Gallery:
    """Images of each class in turn, and what each method makes of them.

    ``json`` has the names of methods and classes, and per image its thumbnail, path, true class,
    and class and confidence by method.
    """

    n: int
    n_all: int
    json: str
    paths: frozenset[str]


def make_gallery(plan: Plan, results: Sequence[Evaluation]) -> Gallery | None:
    """Draw ``report.gallery`` labelled images by seed, one of each class in turn; None without any.

    Images that were rejected or cannot be read now are left out. Predictions are the first seed's.
    """
    if not plan.params.report.gallery or not has_images(plan):
        return None
    columns = ["row_id", "label", "predicted", "confidence"]
    found = [read_predictions(plan.evaluation(each.method), columns) for each in results]
    rows = found[0][(found[0]["label"] >= 0) & (found[0]["predicted"] >= 0)]
    drawn = rows.sample(frac=1, random_state=plan.params.report.seed)
    drawn = drawn.iloc[in_turn(drawn["label"].to_numpy())].head(plan.params.report.gallery)
    predicted = np.stack([each.loc[drawn.index, "predicted"] for each in found], axis=1).tolist()
    confidence = np.stack([each.loc[drawn.index, "confidence"] for each in found], axis=1)
    percents = np.rint(100 * confidence).astype(int).tolist()
    images = []
    for at, image in enumerate(thumbnails(plan, drawn["row_id"].tolist(), OPENED_PIXELS)):
        if image is not None:
            images.append(
                {
                    "image": [image.uri, image.width, image.height],
                    "path": image.path,
                    "label": int(drawn["label"].iloc[at]),
                    "predicted": predicted[at],
                    "confidence": percents[at],
                }
            )
    if not images:
        return None
    content = {
        "methods": [result.title for result in results],
        "classes": list(results[0].classes),
        "known": results[0].known.tolist(),
        "images": images,
    }
    paths = frozenset(str(image["path"]) for image in images)
    return Gallery(len(images), len(rows), embedded_json(content), paths)
