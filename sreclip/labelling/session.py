"""The images to label, the labels that were given, and the file that keeps them."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from sreclip.data.label_file import (
    NO_LABEL,
    NONE_OF_THESE,
    give_label,
    read_label_file,
)
from sreclip.errors import DataError
from sreclip.evaluate.stored import read_fit
from sreclip.evaluate.target import read_target
from sreclip.features.viewing import Viewer, has_images
from sreclip.findings.estimate import wilson
from sreclip.findings.labelling import labelling_order
from sreclip.methods.scores import Scores, read_scores
from sreclip.plan.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

# The shown image, at most so many pixels per side.
PIXELS = 1024
# So many classes are all shown as guesses, a key for each.
FEW = 9
LEVEL = 0.95


@dataclass(frozen=True)
class Shown:
    """An image that is to be labelled; ``guesses`` are in the order of the alphabet."""

    row_id: int
    path: str
    predicted: int
    guesses: list[int]


class Session:
    """What a person labels in one go; images stay open until `close`.

    Parameters
    ----------
    plan : Plan
        A run whose method has been fitted.
    method : str
        Its predictions are judged and give the guesses.
    file : Path
        Where labels are kept. Those that are there already stay, and their images are not shown.
    count : int
        Images to show.
    """

    def __init__(self, plan: Plan, method: str, file: Path, count: int) -> None:
        if not has_images(plan):
            raise DataError(
                "these features were made elsewhere, and there is no image to look at",
                "name their folder in task.ready_features.images",
            )
        root = Path(plan.summary["root"])
        if not root.is_dir():
            raise DataError(f"the data root {root} is missing", "fix the root of the task")
        self.file = file
        given = {row.path for row in read_label_file(file)} if file.exists() else set()
        # Not the evaluation's predictions: another file of labels would ask for another evaluation.
        fit = plan.candidates(method)[0].fit(method)
        self.title = read_fit(fit)["title"]
        scores = read_scores(fit["scores.h5"], fit.key)
        self.classes = list(scores.classes)
        without = plan.params.evaluate.model_copy(update={"labels": None})
        target = read_target(plan.changed(evaluate=without)).loc[scores.row_id]
        seed = plan.params.report.seed
        self.shown = list(islice(_free(scores, target, given, seed), count))
        self._viewer = Viewer(plan, [each.row_id for each in self.shown])
        self._new: dict[str, str] = {}
        self._lock = Lock()

    def close(self) -> None:
        """Close the images."""
        self._viewer.close()

    @property
    def n_new(self) -> int:
        """Labels that were given in this session."""
        return len(self._new)

    def jpeg(self, at: int) -> bytes | None:
        """Return an image as a browser shows it; None where it cannot be read."""
        with self._lock:  # an archive is read from one place at a time
            image = self._viewer.image(at)
        if image is None:
            return None
        image.thumbnail((PIXELS, PIXELS))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=90)
        return out.getvalue()

    def give(self, at: int, name: str | None) -> None:
        """Write a label into the file, or take it back with None.

        Raises `DataError` for what is neither a class nor `NONE_OF_THESE`; `StoreError` where the
        file cannot be written, in which case the label is not kept.
        """
        if name is not None and name not in (*self.classes, NONE_OF_THESE):
            raise DataError(f"no class {name!r}")
        path = self.shown[at].path
        with self._lock:
            give_label(self.file, path, name)
            self._new.pop(path, None)
            if name is not None:
                self._new[path] = name

    def state(self) -> dict[str, Any]:
        """Return what the page shows, JSON-able."""
        return {
            "title": self.title,
            "classes": self.classes,
            "none": NONE_OF_THESE,
            "images": [
                {
                    "path": each.path,
                    "guesses": [self.classes[label] for label in each.guesses],
                    "label": self._new.get(each.path),
                }
                for each in self.shown
            ],
            "summary": self.summary(),
        }

    def summary(self) -> str:
        """Say how many of the labels of this session the method has right."""
        judged = [each for each in self.shown if each.path in self._new]
        if not judged:
            return "No label yet."
        right = sum(self.classes[each.predicted] == self._new[each.path] for each in judged)
        low, high = wilson(right, len(judged), LEVEL)
        return (
            f"{self.title} has {right} of {len(judged)} right: {100 * low:.0f} to "
            f"{100 * high:.0f} % of all images (95 % interval)."
        )


def _free(
    scores: Scores, target: pd.DataFrame, labels: Collection[str], seed: int
) -> Iterator[Shown]:
    """Yield images without a label, in the order of `labelling_order`."""
    run, names = scores.runs[0], scores.classes
    readable = np.flatnonzero(scores.ok)
    free = ((target["label"] == NO_LABEL) & ~target["path"].isin(list(labels))).to_numpy()
    guesses = run.top_class
    if len(names) <= FEW:
        guesses = np.tile(np.arange(len(names), dtype=guesses.dtype), (len(guesses), 1))
    best = run.top_class[:, 0]
    order = labelling_order(best[readable].astype(np.int64), run.confidence[readable], seed)
    for at in (readable[one] for one in order):
        if free[at]:
            yield Shown(
                int(scores.row_id[at]),
                target["path"].iloc[at],
                int(best[at]),
                sorted(guesses[at].tolist(), key=lambda label: names[label].casefold()),
            )
