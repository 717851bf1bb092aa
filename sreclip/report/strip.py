"""Target images with right and wrong predictions, as data URIs."""

from __future__ import annotations

import base64
import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sreclip.data.images import RejectedImage, read_image
from sreclip.data.manifest import find_rows
from sreclip.data.reading import ImageReader, NamedImageReader, stored_images
from sreclip.errors import DataError
from sreclip.evaluate.stored import Evaluation, read_predictions
from sreclip.plan.plan import Plan

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

# Shown at half this size, to be sharp on a dense screen.
THUMBNAIL_PIXELS = 224
JPEG_QUALITY = 82
# If the images of a folder are gone, not every file must be tried.
MOST_TRIES = 4
COLUMNS = ("row_id", "path", "label", "predicted", "confidence")


@dataclass(frozen=True)
class Shown:
    """One image of the strip."""

    path: str
    uri: str
    width: int
    height: int
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
    unlabelled: list[Shown]  # drawn where no target image has a label
    unreadable: int


def make_strip(plan: Plan, result: Evaluation) -> Strip:
    """Draw labelled target images by seed, half of them right if there are enough.

    Without any label draw from all. Images that were rejected at extraction or cannot be read now
    are left out.
    """
    settings = plan.params.report
    if not has_images(plan):
        return Strip([], [], [], 0)
    rows = read_predictions(plan.evaluation(result.method), COLUMNS)
    rows = rows[rows["predicted"] >= 0]
    if not result.n_images:
        rows = rows.sample(frac=1, random_state=settings.seed)
        shown, unreadable = _show(plan, rows, settings.images, result)
        return Strip([], [], shown, unreadable)
    rows = rows[rows["label"] >= 0].sample(frac=1, random_state=settings.seed)
    is_right = rows["label"] == rows["predicted"]
    n_right = min(int(is_right.sum()), settings.images // 2)
    n_wrong = min(int((~is_right).sum()), settings.images - n_right)
    n_right = min(int(is_right.sum()), settings.images - n_wrong)
    right, unreadable = _show(plan, rows[is_right], n_right, result)
    wrong, unreadable_too = _show(plan, rows[~is_right], n_wrong, result)
    return Strip(right, wrong, [], unreadable + unreadable_too)


def has_images(plan: Plan) -> bool:
    """Tell whether the rows have images: those of ready features may have none."""
    return not plan.ready or plan.params.task.settings["images"] is not None


def _reader(plan: Plan) -> ImageReader:
    root = Path(plan.summary["root"])
    if plan.ready:
        return NamedImageReader((root / plan.params.task.settings["images"]).resolve())
    return ImageReader(root, outside_links=plan.outside_links)


def _show(
    plan: Plan, rows: pd.DataFrame, wanted: int, result: Evaluation
) -> tuple[list[Shown], int]:
    shown: list[Shown] = []
    unreadable = 0
    rows = rows.head((MOST_TRIES + 1) * wanted)
    stored = stored_images(find_rows(plan.task.path, rows["row_id"].tolist()))
    columns = (rows["label"], rows["predicted"], rows["confidence"])
    with contextlib.closing(_reader(plan)) as reader:
        for one, label, predicted, confidence in zip(stored, *map(list, columns), strict=True):
            if len(shown) == wanted:
                break
            try:
                content = reader.read(one)
                image = read_image(content, max_pixels=plan.params.features.max_pixels)
            except (RejectedImage, DataError):
                unreadable += 1
                continue
            uri, width, height = thumbnail_uri(image)
            shown.append(
                Shown(
                    path=one.place.name,
                    uri=uri,
                    width=width,
                    height=height,
                    true=result.classes[label] if label >= 0 else "",
                    predicted=result.classes[predicted],
                    true_known=label >= 0 and bool(result.known[label]),
                    predicted_known=bool(result.known[predicted]),
                    confidence=confidence,
                    right=label == predicted,
                )
            )
    return shown, unreadable


def thumbnail_uri(image: Image.Image) -> tuple[str, int, int]:
    """Shrink an image; return a data URI, PNG or JPEG, whichever is smaller, width and height."""
    small = image.copy()
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    encodings = {}
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": JPEG_QUALITY})):
        buffer = io.BytesIO()
        small.save(buffer, kind.upper(), **options)
        encodings[kind] = buffer.getvalue()
    kind, encoded = min(encodings.items(), key=lambda pair: len(pair[1]))
    text = base64.b64encode(encoded).decode("ascii")
    return f"data:image/{kind};base64,{text}", small.width, small.height


def fraction_right(result: Evaluation) -> float:
    """Return the fraction of all labelled images that is right, over all seeds."""
    counts = result.confusion_table
    return float(np.trace(counts[:, : len(result.classes)]) / counts.sum())
