"""Which of many images are shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def in_turn(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return an order of images that takes one of each class, then another of each."""
    import pandas as pd

    turn = pd.Series(classes).groupby(classes).cumcount()
    return np.argsort(turn.to_numpy(), kind="stable")
