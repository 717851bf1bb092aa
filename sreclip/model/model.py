"""A saved model at work: images or features in, predictions out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import DataError
from sreclip.evaluate.background import REASON
from sreclip.model.found import Finder, Found
from sreclip.model.prediction import Prediction
from sreclip.model.saved import SavedModel

if TYPE_CHECKING:
    from sreclip.backbones.base import Backbone
    from sreclip.config.models import FeatureSettings
    from sreclip.model.scorer import Scorer

TOP = 5
# Images that are listed, decoded and labelled before the next are looked for.
WINDOW = 4096
NORM_TOLERANCE = 1e-2


class Model:
    """A fitted method that labels images, without the data of its fit.

    Made by `load`. Weights of the backbone are not in the folder: they are loaded when the first
    image needs them, as `sreclip check` describes, and must be those of the fit.

    Parameters
    ----------
    folder : Path
        What ``sreclip save`` wrote.
    device : str, default: "cpu"
        Where the backbone and the method run.
    weights : str, optional
        Where the backbone's local weights are now.
    """

    def __init__(self, folder: Path, device: str = "cpu", weights: str | None = None) -> None:
        self.folder, self.device, self.weights = folder, device, weights
        self.saved = SavedModel.read(folder)
        self.finder = Finder()
        self._scorer: Scorer | None = None
        self._backbone: Backbone | None = None

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of `predict_proba`."""
        return list(self.saved.classes)

    def predict(
        self, images: str | Path | Iterable[str | Path], *, top: int = TOP, reject: float = 0.0
    ) -> list[Prediction]:
        """Label images: files, folders, patterns or tar archives; see `stream`."""
        return list(self.stream(images, top=top, reject=reject))

    def stream(
        self,
        images: str | Path | Iterable[str | Path],
        *,
        top: int = TOP,
        reject: float = 0.0,
        workers: int | None = None,
    ) -> Iterator[Prediction]:
        """Yield a prediction per image, in the order of the names, while others are decoded.

        An image that cannot be read, is less sure than ``reject``, or shows something else by the
        model's background has a reason and no label.

        Raises
        ------
        ConfigError
            The backbone cannot be loaded, or is not the one of the fit.
        DataError
            An archive or a folder cannot be read.
        """
        given = [images] if isinstance(images, str | Path) else images
        pairs = self.pairs(map(str, given), top=top, reject=reject, workers=workers)
        return (prediction for _, prediction in pairs)

    def pairs(
        self, images: Iterable[str], *, top: int, reject: float, workers: int | None = None
    ) -> Iterator[tuple[Found, Prediction]]:
        """Yield images, as they were found, with what `stream` yields."""
        found = self.finder.find(images)
        return self.label(found, top=top, reject=reject, workers=workers)

    def label(
        self, found: Iterable[Found], *, top: int, reject: float, workers: int | None = None
    ) -> Iterator[tuple[Found, Prediction]]:
        """Yield found images with their predictions; `WINDOW` of them are listed at a time."""
        settings, rest = self._settings(workers), iter(found)
        while window := list(islice(rest, WINDOW)):
            yield from self._label(window, settings, top, reject)

    def _label(
        self, window: Sequence[Found], settings: FeatureSettings, top: int, reject: float
    ) -> Iterator[tuple[Found, Prediction]]:
        for part, reasons, features in self.encoded(window, settings):
            labelled = iter(self.predictions(features, top=top, reject=reject))
            for found, reason in zip(part, reasons, strict=True):
                if reason:
                    yield found, Prediction(found.name, reason=reason)
                else:
                    yield found, replace(next(labelled), path=found.name)

    def encoded(
        self, window: Sequence[Found], settings: FeatureSettings | None = None
    ) -> Iterator[tuple[Sequence[Found], list[str], NDArray[np.float32]]]:
        """Yield found images, why they cannot be read, and the features of those that can.

        A batch at a time, in order.
        """
        from sreclip.model.images import encode

        at = 0
        for reasons, features in encode(window, self.backbone, settings or self._settings(None)):
            part = window[at : at + len(reasons)]
            at += len(reasons)
            ok = np.array([not reason for reason in reasons])
            yield part, reasons, features[ok]

    def predictions(
        self, features: NDArray[np.floating[Any]], *, top: int = TOP, reject: float = 0.0
    ) -> list[Prediction]:
        """Label features of the model's backbone, unit-norm rows ``(n_images, dim)``."""
        scored = self.scorer(self._checked(features))
        top = min(top, len(self.saved.classes))
        two = min(2, len(self.saved.classes))
        found = []
        none = scored.background
        for number, row in enumerate(scored.probabilities):
            order = np.argsort(-row, kind="stable")[: max(top, two)]
            other = None if none is None else float(none[number])
            p = row[order].astype(float) * (1 - (other or 0.0))
            reason = f"less sure than {reject:g}" if p[0] < reject else ""
            if other is not None and other > p[0]:
                reason = REASON
            found.append(
                Prediction(
                    path=str(number),
                    classes=tuple(self.saved.classes[c] for c in order[:top]),
                    probabilities=tuple(p[:top].tolist()),
                    known=self.saved.known[order[0]],
                    margin=float(p[0] - p[1]) if two == 2 else float(p[0]),
                    agreement=None if scored.agreement is None else scored.agreement[number],
                    reason=reason,
                    background=other,
                )
            )
        return found

    def of_features(
        self, place: str, *, top: int = TOP, reject: float = 0.0
    ) -> Iterator[Prediction]:
        """Label the rows of a file of ready features, some at a time; names are row numbers.

        ``place`` is as in the task ``ready_features``: FILE or FILE:NAME.

        Raises
        ------
        DataError
            The file cannot be read, or its rows are not features of the model's backbone.
        """
        from sreclip.data.matrices.places import open_stored
        from sreclip.data.matrices.stored import as_floats

        at = 0
        for rows in open_stored(Path(), place, "matrix").chunks(WINDOW):
            for number, prediction in enumerate(
                self.predictions(as_floats(rows), top=top, reject=reject), start=at
            ):
                yield replace(prediction, path=str(number))
            at += len(rows)

    def predict_proba(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return probabilities ``(n_images, n_classes)`` of unit-norm features.

        They are those given that an image shows one of the classes: no background counts.
        """
        return self.scorer(self._checked(features)).probabilities

    @property
    def scorer(self) -> Scorer:
        """What scores features."""
        if self._scorer is None:
            from sreclip.model.scorer import Scorer

            self._scorer = Scorer(self.folder, self.saved, self.device)
        return self._scorer

    @property
    def backbone(self) -> Backbone:
        """The frozen model, which must be that of the fit."""
        if self._backbone is None:
            from sreclip.model.backbone import load_backbone

            self._backbone = load_backbone(self.saved, self.device, self.weights)
        return self._backbone

    @property
    def text_encoder(self) -> Backbone:
        """The backbone or, of ready features, what encodes their texts."""
        from sreclip.model.backbone import PRECOMPUTED, load_text_tower

        if self.saved.backbone["name"] == PRECOMPUTED:
            return load_text_tower(self.saved, self.device)
        return self.backbone

    def _settings(self, workers: int | None) -> FeatureSettings:
        from sreclip.config.models import FeatureSettings

        chosen = {} if workers is None else {"workers": workers}
        return FeatureSettings(**self.saved.features, **chosen)

    def _checked(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        rows = np.asarray(features, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.saved.dim:
            raise DataError(
                f"features have the shape {rows.shape}; the model was fitted on rows of "
                f"{self.saved.dim}",
                f"give features of {self.saved.backbone['name']}, the model's own backbone",
            )
        return unit_rows(rows)


def unit_rows(rows: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return rows in float32; `DataError` for one that is not of length 1."""
    rows = np.asarray(rows, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1)
    wrong = ~(np.abs(lengths - 1) < NORM_TOLERANCE)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"row {row} of the features has length {lengths[row]:g}, not 1",
            "divide every row by its length",
        )
    return rows


def load(folder: str | Path, *, device: str = "cpu", weights: str | None = None) -> Model:
    """Load what ``sreclip save`` wrote; see `Model`.

    Raises
    ------
    StoreError
        The folder is no saved model, or not as it was saved.
    """
    return Model(Path(folder), device, weights)
