"""Names and labels of the target's images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sreclip.data.manifest import read_manifest, read_target_labels
from sreclip.data.place import image_names
from sreclip.errors import DataError, did_you_mean, some
from sreclip.plan.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

# Wrong paths that are named with the nearest right one, and paths that are looked through for it.
SHOWN = 3
MOST_COMPARED = 10_000


def read_target(plan: Plan) -> pd.DataFrame:
    """Return ``path`` and ``label`` of the task's target images, by row id.

    A label is the number of a class, -1 where there is none, or `SHOWS_NONE`; labels by hand come
    before those of the task. Raises as `read_manifest`, `read_target_labels` and `labels_of`;
    `DataError` for a label by hand of an image that is not in the target.
    """
    folder = plan.task.path
    rows = read_manifest(folder, ["row_id", "path", "member", "domain"])
    rows = rows[rows["domain"] == "target"].set_index("row_id")
    rows = rows[[]].assign(path=image_names(rows), label=read_target_labels(folder, rows.index))
    if plan.hand_labels:
        by_hand = rows["path"].map(plan.hand_labels)
        _refuse_other_images(plan, rows["path"])
        rows["label"] = by_hand.fillna(rows["label"]).astype("int64")
    return rows


def _refuse_other_images(plan: Plan, paths: pd.Series) -> None:
    others = sorted(set(plan.hand_labels) - set(paths))
    if others:
        near = paths.tolist() if len(paths) < MOST_COMPARED else []
        named = [f"{name}{did_you_mean(name, near)}" for name in others[:SHOWN]]
        raise DataError(
            f"{plan.params.evaluate.labels}: no target image: {some([*named, *others[SHOWN:]])}",
            "write paths as in reports/predictions.csv, or remove the rows",
        )
