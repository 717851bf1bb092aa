"""Target images with right and wrong predictions, as data URIs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sreclip.evaluate.stored import Evaluation, read_predictions
from sreclip.features.viewing import has_images
from sreclip.plan.plan import Plan
from sreclip.report.thumbnails import Thumbnail, thumbnails

if TYPE_CHECKING:
    import pandas as pd

THUMBNAIL_PIXELS = 224
# If the images of a folder are gone, not every file must be tried.
MOST_TRIES = 4
COLUMNS = ("row_id", "path", "label", "predicted", "confidence")


@dataclass(frozen=True)
class Shown:
    """One image of the strip."""

    image: Thumbnail
    true: str  # empty without a label
    predicted: str
    true_known: bool
    predicted_known: bool
    confidence: float
    right: bool


@dataclass(frozen=True)
class Strip:
    """The images, and how many others were drawn but could not be read."""

    right: list[Shown]
    wrong: list[Shown]
    surest_wrong: list[Shown]  # not drawn: the mistakes of the highest confidence
    hardest: list[Shown]  # not drawn: wrong by every method, the least sure first
    unlabelled: list[Shown]  # drawn where no target image has a label
    unreadable: int


def make_strip(plan: Plan, results: Sequence[Evaluation]) -> Strip:
    """Draw labelled target images by seed, half of them right if there are enough.

    Predictions are those of the last method. Without any label draw from all. Images that were
    rejected at extraction or cannot be read now are left out.
    """
    settings, result = plan.params.report, results[-1]
    if not has_images(plan):
        return Strip([], [], [], [], [], 0)
    rows = read_predictions(plan.evaluation(result.method), COLUMNS)
    rows = rows[rows["predicted"] >= 0]
    if not result.n_images:
        rows = rows.sample(frac=1, random_state=settings.seed)
        shown, unreadable = _show(plan, rows, settings.images, result)
        return Strip([], [], [], [], shown, unreadable)
    rows = rows[rows["label"] >= 0].sample(frac=1, random_state=settings.seed)
    is_right = rows["label"] == rows["predicted"]
    n_right = min(int(is_right.sum()), settings.images // 2)
    n_wrong = min(int((~is_right).sum()), settings.images - n_right)
    n_right = min(int(is_right.sum()), settings.images - n_wrong)
    right, unreadable = _show(plan, rows[is_right], n_right, result)
    wrong, unreadable_too = _show(plan, rows[~is_right], n_wrong, result)
    surest = rows[~is_right].sort_values("confidence", ascending=False, kind="stable")
    surest_wrong, _ = _show(plan, surest, settings.images // 2, result)
    hard = surest[surest["row_id"].isin(_always_wrong(plan, results))].iloc[::-1]
    hardest, _ = _show(plan, hard, settings.images // 2, result)
    return Strip(right, wrong, surest_wrong, hardest, [], unreadable + unreadable_too)


def _always_wrong(plan: Plan, results: Sequence[Evaluation]) -> set[int]:
    """Return the row ids of labelled images that all methods get wrong; none of one method."""
    found: list[set[int]] = []
    for result in results:
        rows = read_predictions(plan.evaluation(result.method), ["row_id", "label", "predicted"])
        wrong = rows[(rows["label"] >= 0) & (rows["label"] != rows["predicted"])]
        found.append(set(wrong["row_id"].tolist()))
    return set.intersection(*found) if len(found) > 1 else set()


def _show(
    plan: Plan, rows: pd.DataFrame, wanted: int, result: Evaluation
) -> tuple[list[Shown], int]:
    shown: list[Shown] = []
    unreadable = 0
    rows = rows.head((MOST_TRIES + 1) * wanted)
    images = thumbnails(plan, rows["row_id"].tolist(), THUMBNAIL_PIXELS)
    columns = (rows["label"], rows["predicted"], rows["confidence"])
    with contextlib.closing(images):
        for label, predicted, confidence in zip(*map(list, columns), strict=True):
            if len(shown) == wanted:
                break
            image = next(images)
            if image is None:
                unreadable += 1
                continue
            shown.append(
                Shown(
                    image,
                    true=result.classes[label] if label >= 0 else "",
                    predicted=result.classes[predicted],
                    true_known=label >= 0 and bool(result.known[label]),
                    predicted_known=bool(result.known[predicted]),
                    confidence=confidence,
                    right=label == predicted,
                )
            )
    return shown, unreadable


def fraction_right(result: Evaluation) -> float:
    """Return the fraction of all labelled images that is right, over all seeds."""
    counts = result.confusion_table
    return float(np.trace(counts[:, : len(result.classes)]) / counts.sum())
