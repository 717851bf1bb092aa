"""Class texts that the labelled source teaches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.methods.data import FitData, known_labels, spaced
from sreclip.methods.logits import widened

STEPS = 60
MOST_TEACHERS = 1 << 14


def taught_texts(data: FitData, anchor: float) -> Tensor:
    r"""Return unit vectors of the known classes that tell the source images apart.

    .. math:: \min_v \frac1n \sum_i -\log \mathrm{softmax}_c(s f_i v_c)_{y_i}
        + \frac a2 \sum_c \|v_c - w_c\|^2, \quad \|v_c\| = 1

    over the known classes c, from their texts w on, by at most `STEPS` steps of L-BFGS; ``anchor``
    is a. As the vectors keep their length, the logits cannot grow to fit every image. The residual
    on texts is that of TaskRes (Yu et al., CVPR 2023); the anchor and the solver are ours. Of more
    than `MOST_TEACHERS` source images, evenly spaced ones teach.

    Returns
    -------
    Tensor
        ``(n_known, dim)``, float32.
    """
    known, scale = data.text.known, data.text.logit_scale
    some, texts = spaced(len(data.source_labels), MOST_TEACHERS), data.text.features[known]
    images, own = widened(data.source_features[some]), known_labels(data.source_labels[some], known)
    with torch.enable_grad():
        residual = torch.zeros_like(texts).requires_grad_()
        solver = torch.optim.LBFGS([residual], max_iter=STEPS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            solver.zero_grad()
            vectors = F.normalize(texts + residual, dim=1)
            value = F.cross_entropy(scale * images @ vectors.T, own)
            value = value + anchor / 2 * (vectors - texts).square().sum()
            value.backward()
            return value

        solver.step(loss)
        return F.normalize(texts + residual.detach(), dim=1)
