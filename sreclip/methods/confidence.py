"""How sure predictions may be, by how far two fits on different images agree."""

from __future__ import annotations

import math

from torch import Tensor

from sreclip.methods.logits import score_in_blocks, widened
from sreclip.methods.source_evidence import Score
from sreclip.refinement.candidates import Candidates

HALVINGS = 40
MOST_TEMPERATURE = 100.0


def agreement(features: Tensor, n_classes: int, one: Score, two: Score) -> float:
    """Return the chance that labels drawn from two predictions are the same, a mean over images.

    Between two fits on different images it is about the accuracy of either, where their confidence
    is right (Jiang et al., ICLR 2022, for the predicted classes).
    """
    blocks = (score_in_blocks(score, features, n_classes) for score in (one, two))
    total = 0.0
    for first, second in zip(*blocks, strict=True):
        total += float((first.logits.softmax(dim=1) * second.logits.softmax(dim=1)).sum())
    return total / len(features)


def confidence(labels: Candidates, features: Tensor, texts: Score, agreed: float) -> float:
    """Return the mean probability that the predicted classes should have.

    What they have beyond the predictions of the texts counts by the agreement.
    """
    largest, best = labels.log_p.max(dim=1, keepdim=True)
    own = float(largest.exp().mean())
    classes = labels.classes.gather(1, best).long()
    total = 0.0
    for rows in labels.chunks():
        p = texts(widened(features[rows])).softmax(dim=1)
        total += float(p.gather(1, classes[rows]).sum())
    by_text = total / len(labels)
    return by_text + agreed * (own - by_text)


def temperature_for(labels: Candidates, wanted: float) -> float:
    """Return the temperature, at least 1, at which predicted classes have a mean probability."""
    low, high = 0.0, math.log(MOST_TEMPERATURE)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        p = (labels.log_p / math.exp(middle)).softmax(dim=1).amax(dim=1)
        low, high = (middle, high) if float(p.mean()) > wanted else (low, middle)
    return math.exp(low)
