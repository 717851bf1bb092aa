"""Linear probe: multinomial regression on the known classes, text for the unknown ones."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sreclip.errors import FitError
from sreclip.methods.base import FitData, Method, Progress, known_labels
from sreclip.methods.tip_adapter import draw_shots

MAX_ITERATIONS = 1000
MAX_LOGITS = 1 << 26


class LinearProbe(Method):
    """Multinomial regression on source features (linear probe of Radford et al., ICML 2021).

    ``L2 / 2 |A|^2 + sum of cross-entropies`` is minimised over weights A and biases b of the known
    classes. L2 is the one of a logarithmic grid with the least cross-entropy on a hold-out of
    every known class with two images or more; the fit with it then takes all source images. If
    nothing can be held out, it is the strongest.

    The original has no unknown classes; theirs are the frozen logits ``s f.w_c``. To be
    comparable (ours), known logits are ``m(f) + kappa (A f + b)_c``: m is the image's mean frozen
    logit over the known classes (A f + b has the mean 0 over them, and its scale follows from L2),
    kappa gives the deviations from the mean the frozen model's root mean square over the source
    images. Which known class is best does not depend on either.

    Parameters
    ----------
    l2_low, l2_high : float
        Ends of the grid.
    l2_count : int
        Its size.
    holdout : float
        Share of each class's source images held out, at least one.
    shots : int
        Source images of each known class that the fit takes, at most, drawn at random; 0: all.
    seed : int
        Seed of the hold-out.
    progress : callable, optional
        Called with the grid's point, its size and the hold-out's cross-entropy.
    """

    title = "Linear probe"
    citation = "Radford et al., ICML 2021"
    transductive = False

    def __init__(
        self,
        l2_low: float = 1e-4,
        l2_high: float = 10.0,
        l2_count: int = 6,
        holdout: float = 0.2,
        shots: int = 0,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.l2_low = l2_low
        self.l2_high = l2_high
        self.l2_count = l2_count
        self.holdout = holdout
        self.shots = shots
        self.seed = seed
        self.progress = progress

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        text, rows = data.text, torch.arange(len(data.source_labels))
        if self.shots:
            rows = draw_shots(data.source_labels, self.shots, generator)
        check_size(len(rows), int(text.known.sum()))
        features, labels = data.source(rows), data.source_labels[rows]
        x = features.double().cpu().numpy()
        y = known_labels(labels, text.known).cpu().numpy()
        self.l2_ = self._choose_l2(x, y, hold_out(y, self.holdout, generator))
        weight, bias = regress(x, y, self.l2_)
        self.weight_ = torch.from_numpy(weight).to(features)
        self.bias_ = torch.from_numpy(bias).to(features)
        frozen = text.zero_shot_logits(features)[:, text.known]
        spread = (frozen - frozen.mean(dim=1, keepdim=True)).square().mean().sqrt()
        probe = (features @ self.weight_.T + self.bias_).square().mean().sqrt()
        self.scale_ = spread / probe if probe > 0 else torch.zeros_like(probe)

    def _choose_l2(
        self, x: NDArray[np.float64], y: NDArray[np.int64], held: NDArray[np.bool_]
    ) -> float:
        grid = np.geomspace(self.l2_high, self.l2_low, self.l2_count)
        if not held.any() or y.max() == 0:
            return float(grid[0])
        losses = []
        for number, l2 in enumerate(grid):
            weight, bias = regress(x[~held], y[~held], float(l2))
            logits = torch.from_numpy(x[held] @ weight.T + bias)
            loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y[held]))
            self._record(number + 1, self.l2_count, {"holdout": loss})
            losses.append(float(loss))
        return float(grid[int(np.argmin(losses))])

    def _logits(self, features: Tensor) -> Tensor:
        logits, known = self.text_.zero_shot_logits(features), self.text_.known
        deviation = self.scale_ * (features @ self.weight_.T + self.bias_)
        logits[:, known] = logits[:, known].mean(dim=1, keepdim=True) + deviation
        return logits

    def state(self) -> dict[str, Tensor]:
        """Weights and biases of the known classes, their scale, and class vectors."""
        return {
            "weight": self.weight_,
            "bias": self.bias_,
            "scale": self.scale_,
            "text": self.text_.features,
        }


def hold_out(labels: NDArray[np.int64], share: float, generator: torch.Generator) -> NDArray:
    """Rows to hold out, bool: of each class ``share``, at least one and never all."""
    order = torch.randperm(len(labels), generator=generator).numpy()
    held = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        held[rows[: min(len(rows) - 1, max(1, round(share * len(rows))))]] = True
    return held


def check_size(n_images: int, n_known: int) -> None:
    """Refuse a regression whose solver would hold too many logits at once, in float64.

    Raises
    ------
    FitError
        With the number of images of a class that would do.
    """
    if n_images * n_known > MAX_LOGITS:
        raise FitError(
            f"linear_probe would hold {n_images:,} x {n_known:,} logits several times over, "
            f"more than {MAX_LOGITS:,}",
            f"set methods.linear_probe.shots to {max(1, MAX_LOGITS // n_known**2)} or less",
        )


def regress(
    x: NDArray[np.float64], y: NDArray[np.int64], l2: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights ``(n_classes, dim)`` and biases ``(n_classes,)``, both of mean 0 over classes."""
    from sklearn.linear_model import LogisticRegression

    if y.max() == 0:
        return np.zeros((1, x.shape[1])), np.zeros(1)
    model = LogisticRegression(C=1 / l2, max_iter=MAX_ITERATIONS).fit(x, y)
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:
        # For two classes scikit-learn gives the difference of their rows.
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight - weight.mean(axis=0), bias - bias.mean()
