"""How sure predictions may be, by how far two fits on different images agree."""

from __future__ import annotations

import math

from torch import Tensor

from sreclip.methods.source_evidence import Score
from sreclip.refinement.candidates import Candidates

CHUNK = 1 << 10
HALVINGS = 40
MOST_TEMPERATURE = 100.0


def agreement(features: Tensor, one: Score, two: Score) -> float:
    """Return the chance that labels drawn from two predictions are the same, a mean over images.

    Between two fits on different images it is about the accuracy of either, where their confidence
    is right (Jiang et al., ICLR 2022, for the predicted classes).
    """
    total = 0.0
    for images in features.split(CHUNK):
        first, second = (score(images).softmax(dim=1) for score in (one, two))
        total += float((first * second).sum())
    return total / len(features)


def confidence(labels: Candidates, features: Tensor, texts: Score, agreed: float) -> float:
    """Return the mean probability that the predicted classes should have.

    What they have beyond the predictions of the texts counts by the agreement.
    """
    best = labels.log_p.argmax(dim=1, keepdim=True)
    own = float(labels.log_p.gather(1, best).exp().mean())
    classes = labels.classes.gather(1, best).long()
    total = 0.0
    for rows in labels.chunks():
        p = texts(features[rows]).softmax(dim=1)
        total += float(p.gather(1, classes[rows]).sum())
    by_text = total / len(labels)
    return by_text + agreed * (own - by_text)


def temperature_for(labels: Candidates, wanted: float) -> float:
    """Return the temperature, at least 1, at which predicted classes have a mean probability."""
    best = labels.log_p.argmax(dim=1, keepdim=True)
    low, high = 0.0, math.log(MOST_TEMPERATURE)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        p = (labels.log_p / math.exp(middle)).log_softmax(dim=1).gather(1, best).exp()
        low, high = (middle, high) if float(p.mean()) > wanted else (low, middle)
    return math.exp(low)
