"""Scores of one method on the target: what evaluation needs per image, for each seed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sreclip.errors import StoreError

TOP = 5


@dataclass(frozen=True)
class ImageScores:
    """A method's logits on some images, reduced to what every metric can be computed from.

    All logits of 294,000 images and 5,000 classes would be 6 GB per seed; these are 20 MB.

    Attributes
    ----------
    top_class, top_logit
        The ``min(5, n_classes)`` largest logits, descending, ``(n_images, n_top)``.
    known_class, known_logit, unknown_class, unknown_logit
        The largest logit among known and among unknown classes, ``(n_images,)``; -1 and -inf
        where there is no such class.
    log_sum
        Logarithm of the sum of exponentiated logits, ``(n_images,)``.
    """

    top_class: NDArray[np.int32]
    top_logit: NDArray[np.float32]
    known_class: NDArray[np.int32]
    known_logit: NDArray[np.float32]
    unknown_class: NDArray[np.int32]
    unknown_logit: NDArray[np.float32]
    log_sum: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.log_sum)

    def __getitem__(self, rows: Any) -> ImageScores:
        """Return the scores of some images, indexed as in numpy."""
        return ImageScores(**{name: getattr(self, name)[rows] for name in FIELDS})

    @property
    def confidence(self) -> NDArray[np.float32]:
        """Largest softmax value of each image, ``(n_images,)``."""
        return np.minimum(np.exp(self.top_logit[:, 0] - self.log_sum), 1)

    @property
    def margin(self) -> NDArray[np.float32]:
        """Best known minus best unknown logit, ``(n_images,)``; infinite without one of them."""
        return self.known_logit - self.unknown_logit

    def spread(self, ok: NDArray[np.bool_]) -> ImageScores:
        """Return the scores in the rows where ``ok``, and -1 and zeros elsewhere."""
        columns = {}
        for name in FIELDS:
            values = getattr(self, name)
            fill = -1 if values.dtype == np.int32 else 0
            columns[name] = np.full((len(ok), *values.shape[1:]), fill, dtype=values.dtype)
            columns[name][ok] = values
        return ImageScores(**columns)


FIELDS = tuple(field.name for field in fields(ImageScores))


def unknown_bias(margin: ArrayLike, zero_shot_margin: ArrayLike, least: float = 0.0) -> float:
    """Return the bias on unknown logits that keeps the frozen model's unknown predictions.

    Training on known classes makes a model favour them. Calibrated stacking (Chao et al., ECCV
    2016) adds a bias to unknown logits; there it is chosen with labels, here (ours) so that as
    many target images go to an unknown class as with the frozen model, and at least the fraction
    ``least``. Of all such biases, zero is taken when it is one of them, else the middle of their
    range.

    Margins are the best known minus the best unknown logit per target image, adapted and frozen,
    ``(n_images,)``; infinite where there is no known or no unknown class: then the bias is 0.
    """
    margins = np.sort(np.asarray(margin, dtype=np.float64))
    if not np.isfinite(margins).all():
        return 0.0
    frozen = int((np.asarray(zero_shot_margin) < 0).sum())
    wanted = max(frozen, round(least * len(margins)))
    # An image goes to an unknown class when the bias is above its margin.
    low = margins[wanted - 1] if wanted else margins[0] - 2.0
    high = margins[wanted] if wanted < len(margins) else margins[-1] + 2.0
    if low < 0 <= high:
        return 0.0
    return float(low + high) / 2


@dataclass(frozen=True)
class Scores:
    """Target scores of one method, and the content key of its fit.

    Each run, one per seed, has all rows ``(n_target,)``; those of rejected images, where ``ok`` is
    False, hold nothing.
    """

    row_id: NDArray[np.int64]
    ok: NDArray[np.bool_]
    runs: tuple[ImageScores, ...]
    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    known: NDArray[np.bool_]
    method: str
    key: str


def write_scores(path: Path, scores: Scores) -> None:
    """Write scores, whole or not at all."""
    from sreclip.sealed import add_data, json_bytes, new_sealed

    columns = {name: np.stack([getattr(run, name) for run in scores.runs]) for name in FIELDS}
    columns |= {name: getattr(scores, name) for name in ("row_id", "ok", "known")}
    with new_sealed(path, "scores") as file:
        file.attrs.update(method=scores.method, key=scores.key, seeds=list(scores.seeds))
        add_data(file, columns | {"classes": json_bytes(scores.classes)})


def read_scores(path: Path, key: str) -> Scores:
    """Read scores; `StoreError` if they are missing, damaged, or of another key."""
    from sreclip.sealed import MADE_BY, open_sealed, read_json

    with open_sealed(path, "scores").hdf5() as file:
        found = file.attrs["key"]
        if found != key:
            raise StoreError(
                f"{path} was made from something else (key {found}, not {key})",
                f"delete it and run: {MADE_BY['scores']}",
            )
        seeds = tuple(int(seed) for seed in file.attrs["seeds"])
        of_all_seeds = ImageScores(**{name: file[name][:] for name in FIELDS})
        return Scores(
            row_id=file["row_id"][:],
            ok=file["ok"][:],
            runs=tuple(of_all_seeds[number] for number in range(len(seeds))),
            seeds=seeds,
            classes=tuple(read_json(file["classes"])),
            known=file["known"][:],
            method=str(file.attrs["method"]),
            key=key,
        )
