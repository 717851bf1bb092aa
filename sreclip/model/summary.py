"""What was labelled, and how far it is to be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from sreclip.errors import DataError, counted
from sreclip.evaluate.background import REASON
from sreclip.model.model import Model
from sreclip.model.prediction import Prediction
from sreclip.model.sorting import Sorter


class Summary:
    """Counts predictions as they pass."""

    def __init__(self) -> None:
        self.n = self.unreadable = self.uncertain = self.background = 0
        self._total = 0.0
        self._reason = ""

    def of(self, predictions: Iterable[Prediction], *, some: bool = False) -> Iterator[Prediction]:
        """Pass predictions on; with ``some`` they end with an error where no image has any.

        Raises
        ------
        DataError
            There was no image, or none that could be read.
        """
        for prediction in predictions:
            self.n += 1
            if prediction.label:
                self._total += prediction.probability or 0.0
            elif prediction.reason == REASON:
                self.background += 1
            elif prediction.classes:
                self.uncertain += 1
            else:
                self.unreadable += 1
                self._reason = self._reason or f"{prediction.path}: {prediction.reason}"
            yield prediction
        if some and not self.n:
            raise DataError("there is no image", "give files, or folders that hold images")
        if some and self.n == self.unreadable:
            more = f", and {self.n - 1:,} more" if self.n > 1 else ""
            raise DataError(
                f"no image could be read: {self._reason}{more}", "name images that are there"
            )

    @property
    def labelled(self) -> int:
        """Images with a class."""
        return self.n - self.uncertain - self.background - self.unreadable

    def lines(
        self, model: Model, reject: float, out: Path | None, sorter: Sorter | None
    ) -> Iterator[str]:
        """Say what was found."""
        where = f"{out}: " if out else ""
        parts = [counted(self.n, "image"), f"{self.labelled:,} labelled"]
        if reject:
            parts.append(f"{self.uncertain:,} less sure than {reject:g}")
        if model.saved.background:
            parts.append(f"{self.background:,} show something else")
        if self.unreadable:
            parts.append(f"{self.unreadable:,} could not be read (see the column reason)")
        yield where + ", ".join(parts)
        if self.labelled:
            expected = 1 - self._total / self.labelled
            yield f"expected error of the labelled ones, by their own probabilities: {expected:.0%}"
        added = model.saved.added
        at = [row for row in model.saved.thresholds if row.least <= reject][-1]
        if at.error is not None:
            before = f", before {len(added):,} classes were added" if added else ""
            yield (
                f"on the target of the fit{before}, from {at.least:g} on, {at.expected_error:.0%} "
                f"were expected and {at.error:.0%} of {at.n:,} were wrong"
            )
        if sorter:
            numbers = ", ".join(f"{name} {n:,}" for name, n in sorted(sorter.counts.items()))
            yield f"sorted into {sorter.folder}: {numbers}"
        if ignored := model.finder.ignored:
            numbers = ", ".join(f"{n:,} {kind}" for kind, n in sorted(ignored.items()))
            yield f"files left out because they are not images: {numbers}"
