r"""Images of none of the classes: sentences for something else compete with the class texts.

The frozen model alone decides how likely an image shows none of the classes,

.. math:: p(\text{none}) = \frac{\sum_j e^{s f b_j}}{\sum_j e^{s f b_j} + \sum_c e^{s f w_c}},

b being the sentences' vectors and w those of the classes, and the method what it shows if it does.
So no fit and no metric depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sreclip.plan.plan import Plan
from sreclip.plan.prompts import BACKGROUND

if TYPE_CHECKING:
    import pandas as pd

ROWS = 1 << 12
# Logits that are held at once.
VALUES = 1 << 24
REASON = "background"


def background_probability(
    features: NDArray[np.floating[Any]],
    classes: NDArray[np.float32],
    sentences: NDArray[np.float32],
    logit_scale: float,
) -> NDArray[np.float32]:
    """Return how likely each image shows none of the classes, ``(n_images,)``.

    Features, texts of the classes and sentences are unit-norm rows.
    """
    from scipy.special import expit, logsumexp

    found = np.empty(len(features), np.float32)
    step = max(1, VALUES // (len(classes) + len(sentences)))
    for start in range(0, len(features), step):
        images = logit_scale * features[start : start + step].astype(np.float32)
        shown, none = (logsumexp(images @ texts.T, axis=1) for texts in (classes, sentences))
        found[start : start + step] = expit(none - shown)
    return found


def target_background(plan: Plan) -> pd.Series | None:
    """Return `background_probability` of the target's images by row id, NaN for rejected ones.

    None without ``prompts.background``. Raises `StoreError` where features are missing or damaged.
    """
    import pandas as pd

    if not plan.background:
        return None
    from sreclip.features.planned import open_domain, read_names

    target = open_domain(plan, "target")
    classes, sentences = (read_names(plan, kind).features for kind in ("classes", BACKGROUND))
    found = [
        background_probability(
            target.features[start : start + ROWS], classes, sentences, target.header.logit_scale
        )
        for start in range(0, len(target), ROWS)
    ]
    return pd.Series(np.concatenate(found), target.row_id).where(target.ok)
