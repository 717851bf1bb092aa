"""Target images that two runs give other classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sreclip.config import parse_params
from sreclip.data.label_file import NONE_OF_THESE
from sreclip.data.manifest import read_manifest, row_id
from sreclip.errors import SreclipError
from sreclip.features.viewing import has_images
from sreclip.plan.plan import Plan
from sreclip.report.numbers import format_p
from sreclip.report.thumbnails import Thumbnail, thumbnails

if TYPE_CHECKING:
    import pandas as pd

    from sreclip.report.compared import Side

# Images of each kind of change that are shown.
SHOWN = 12
THUMBNAIL_PIXELS = 160
KINDS = {
    "worse": "right → wrong",
    "better": "wrong → right",
    "other": "wrong → wrong",
    "unlabelled": "without a label",
}


@dataclass(frozen=True)
class ChangedImage:
    """An image, None where it is not at hand, and its classes with their probabilities."""

    path: str
    image: Thumbnail | None
    true: str
    before: str
    after: str


@dataclass(frozen=True)
class Changes:
    """Images that both runs read, by what changed; ``rows`` are those that did.

    ``p`` is that of as many or more changes to one side if each had an even chance.
    """

    method: str
    a: Side
    b: Side
    n_common: int
    n_alone: tuple[int, int]
    rows: pd.DataFrame  # path, kind, true, before, p_before, after, p_after
    p: str

    def count(self, kind: str) -> int:
        """Return the number of changes of one of `KINDS`."""
        return int((self.rows["kind"] == kind).sum())


def find_changes(a: Side, b: Side, method: str) -> Changes | None:
    """Compare the classes that a method gives by path; None where predictions are not at hand.

    An image is right where its label, that of the second run before that of the first, is the
    class that it is given. One that shows none of the classes is never right.
    """
    import numpy as np
    from scipy.special import bdtr  # scipy.stats takes a second to import

    if a.predictions is None or b.predictions is None:
        return None
    one, other = (
        side[(side["method"] == method) & (side["class"] != "")].drop_duplicates("path")
        for side in (a.predictions, b.predictions)
    )
    both = one.merge(other, on="path", suffixes=("_a", "_b"))
    true = both["label_b"].where(both["label_b"] != "", both["label_a"])
    was, now = both["class_a"] == true, both["class_b"] == true
    rows = both.assign(
        true=true,
        kind=np.select([true == "", was, now], ["unlabelled", "worse", "better"], "other"),
    )
    rows = rows[both["class_a"] != both["class_b"]]
    rows = rows.rename(
        columns={
            "class_a": "before",
            "class_b": "after",
            "probability_a": "p_before",
            "probability_b": "p_after",
        }
    )[["path", "kind", "true", "before", "p_before", "after", "p_after"]]
    worse, better = (int((rows["kind"] == kind).sum()) for kind in ("worse", "better"))
    n = worse + better
    p = format_p(min(1.0, 2 * float(bdtr(min(worse, better), n, 0.5)))) if n else "\N{EN DASH}"
    rows = rows.sort_values(["p_after", "path"], ascending=[False, True], kind="stable")
    n_alone = len(one) - len(both), len(other) - len(both)
    return Changes(method, a, b, len(both), n_alone, rows.reset_index(drop=True), p)


def changed_images(changes: Changes) -> dict[str, list[ChangedImage]]:
    """Return the first `SHOWN` images of each kind, those of which the second run is surest."""
    shown = changes.rows.groupby("kind", sort=False).head(SHOWN)
    images = _thumbnails([changes.b, changes.a], shown["path"].tolist())
    found: dict[str, list[ChangedImage]] = {kind: [] for kind in KINDS}
    for row in shown.to_dict("records"):
        true = "none of the classes" if row["true"] == NONE_OF_THESE else row["true"]
        before, after = (_sure(row[when], row[f"p_{when}"]) for when in ("before", "after"))
        image = images.get(row["path"])
        found[row["kind"]].append(ChangedImage(row["path"], image, true, before, after))
    return {kind: part for kind, part in found.items() if part}


def _sure(name: str, p: float) -> str:
    return name if math.isnan(p) else f"{name} ({100 * p:.0f} %)"


def _thumbnails(sides: Sequence[Side], paths: Sequence[str]) -> dict[str, Thumbnail]:
    """Return the images by path that a run's task has in this folder."""
    for side in sides:
        try:
            plan = Plan(parse_params(side.run.params))
            if not plan.task["manifest.parquet"].exists() or not has_images(plan):
                continue
            known = set(read_manifest(plan.task.path, ["row_id"])["row_id"])
            ids = {path: row_id("target", path) for path in paths}
            ids = {path: number for path, number in ids.items() if number in known}
            found = thumbnails(plan, list(ids.values()), THUMBNAIL_PIXELS)
            return {path: image for path, image in zip(ids, found, strict=True) if image}
        except SreclipError:
            # Parameters of another version, or images that are gone: the paths are shown.
            continue
    return {}
