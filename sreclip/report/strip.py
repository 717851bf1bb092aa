"""Target pictures with right and wrong predictions, as data URIs."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sreclip.data.images import RejectedImage, read_image
from sreclip.data.manifest import find_rows
from sreclip.data.reading import ImageReader, stored_images
from sreclip.errors import DataError, StoreError
from sreclip.plan.plan import Plan
from sreclip.report.inputs import MethodResult

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

# Shown at half of this, so that they are sharp on a dense screen.
THUMBNAIL_PIXELS = 224
JPEG_QUALITY = 82
# A folder whose pictures are gone must not be tried file by file.
MOST_TRIES = 4


@dataclass(frozen=True)
class Shown:
    """One picture of the strip."""

    path: str
    uri: str
    width: int
    height: int
    true: str
    predicted: str
    true_known: bool
    predicted_known: bool
    confidence: float
    right: bool


@dataclass(frozen=True)
class Strip:
    """The pictures, and how many that were picked could not be read now."""

    right: list[Shown]
    wrong: list[Shown]
    put_aside: int = 0

    @property
    def pictures(self) -> list[Shown]:
        """Right ones first."""
        return [*self.right, *self.wrong]


def make_strip(plan: Plan, result: MethodResult) -> Strip:
    """Pick labelled target pictures by seed, half of them right where there are enough.

    Pictures that were rejected at extraction or cannot be read now are passed over.
    """
    settings = plan.params.report
    rows = read_predictions(plan, result.name)
    rows = rows[(rows["label"] >= 0) & (rows["predicted"] >= 0)]
    rows = rows.sample(frac=1, random_state=settings.seed)
    is_right = rows["label"] == rows["predicted"]
    n_right = min(int(is_right.sum()), settings.images // 2)
    n_wrong = min(int((~is_right).sum()), settings.images - n_right)
    n_right = min(int(is_right.sum()), settings.images - n_wrong)
    right, aside = _show(plan, rows[is_right], n_right, result)
    wrong, aside_too = _show(plan, rows[~is_right], n_wrong, result)
    return Strip(right, wrong, aside + aside_too)


def read_predictions(plan: Plan, method: str) -> pd.DataFrame:
    """Read ``predictions.parquet``.

    Raises
    ------
    StoreError
        The file is missing or damaged.
    """
    import pandas as pd

    path = plan.evaluation(method)["predictions.parquet"]
    made_by = f"make it with: sreclip evaluate {method}"
    if not path.exists():
        raise StoreError(f"{path} is missing", made_by)
    try:
        columns = ["row_id", "path", "label", "predicted", "confidence"]
        return pd.read_parquet(path, engine="pyarrow", columns=columns)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path} cannot be read ({error})", f"delete it; {made_by}") from error


def _show(
    plan: Plan, rows: pd.DataFrame, wanted: int, result: MethodResult
) -> tuple[list[Shown], int]:
    shown: list[Shown] = []
    aside = 0
    rows = rows.head((MOST_TRIES + 1) * wanted)
    stored = stored_images(find_rows(plan.task.path, rows["row_id"].tolist()))
    columns = (rows["label"], rows["predicted"], rows["confidence"])
    with contextlib.closing(ImageReader(Path(plan.summary["root"]))) as reader:
        for one, label, predicted, confidence in zip(stored, *map(list, columns), strict=True):
            if len(shown) == wanted:
                break
            try:
                content = reader.read(one)
                picture = read_image(content, max_pixels=plan.params.features.max_pixels)
            except (RejectedImage, DataError):
                aside += 1
                continue
            uri, width, height = thumbnail_uri(picture)
            shown.append(
                Shown(
                    path=one.name,
                    uri=uri,
                    width=width,
                    height=height,
                    true=result.classes[label],
                    predicted=result.classes[predicted],
                    true_known=bool(result.known[label]),
                    predicted_known=bool(result.known[predicted]),
                    confidence=confidence,
                    right=label == predicted,
                )
            )
    return shown, aside


def thumbnail_uri(picture: Image.Image, pixels: int = THUMBNAIL_PIXELS) -> tuple[str, int, int]:
    """Shrink a picture and encode it as PNG or JPEG, whichever is smaller.

    Returns
    -------
    str, int, int
        The data URI, its width and height in pixels.
    """
    small = picture.copy()
    small.thumbnail((pixels, pixels))
    encoded = min(_encodings(small), key=lambda pair: len(pair[1]))
    text = base64.b64encode(encoded[1]).decode("ascii")
    return f"data:image/{encoded[0]};base64,{text}", small.width, small.height


def _encodings(picture: Image.Image) -> Iterable[tuple[str, bytes]]:
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": JPEG_QUALITY})):
        buffer = io.BytesIO()
        picture.save(buffer, kind.upper(), **options)
        yield kind, buffer.getvalue()


def share_of_right(result: MethodResult) -> float:
    """Share of all labelled pictures that is right, over all seeds."""
    counts = result.confusion
    return float(np.trace(counts[:, : len(result.classes)]) / max(1, counts.sum()))
