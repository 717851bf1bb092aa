"""Which images to label first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_GOLDEN = (5**0.5 - 1) / 2


def labelling_order(
    predicted: NDArray[np.int64], confidence: NDArray[np.floating], seed: int = 0
) -> Iterator[int]:
    """Yield images, each once, so that any number from the start on stands for all of them.

    The images are sorted by predicted class and confidence. From a random place among them on each
    next image is a golden ratio of the way further (Weyl's sequence), which leaves gaps of at most
    three lengths, however long one goes on (Swierczkowski, Fund. Math. 46, 1958). So the first
    twenty have the classes in proportion, sure and unsure images of each, and every image has the
    same chance to be among them: the fraction of them that is right is an unbiased estimate, and a
    better one than that of random images. Unsure images alone would teach nothing of the others.
    """
    n = len(predicted)
    order = np.lexsort((confidence, predicted))
    at = np.random.default_rng(seed).random()
    left = np.ones(n, dtype=bool)
    for _ in range(n):
        place = min(int(at * n), n - 1)
        if not left[place]:  # the next one that is left
            after = np.flatnonzero(left[place:])
            place = place + int(after[0]) if len(after) else int(np.flatnonzero(left)[0])
        left[place] = False
        yield int(order[place])
        at = (at + _GOLDEN) % 1
