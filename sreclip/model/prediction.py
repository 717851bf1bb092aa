"""What a model says of one image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of an image, or why there are none.

    Attributes
    ----------
    path
        The image as it was named.
    classes, probabilities
        The likeliest classes, descending; empty where the image could not be read.
    known
        Whether the source had labels of the likeliest class.
    margin
        Probability of the likeliest class minus that of the next one.
    agreement
        Fraction of seeds that say the same; None with one seed.
    reason
        Why the image has no class; empty where it has one.
    background
        Probability that it shows none of the classes; None where the model has no texts for that.
    """

    path: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    known: bool | None = None
    margin: float | None = None
    agreement: float | None = None
    reason: str = ""
    background: float | None = None

    @property
    def label(self) -> str:
        """The class, empty where there is a reason."""
        return "" if self.reason else self.classes[0]

    @property
    def probability(self) -> float | None:
        """Probability of the likeliest class; None where the image could not be read."""
        return self.probabilities[0] if self.probabilities else None
