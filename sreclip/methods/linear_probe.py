"""Linear probe: multinomial regression on the known classes, text for the unknown ones."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sreclip.config.methods import LinearProbeSettings
from sreclip.errors import FitError
from sreclip.methods.base import Method
from sreclip.methods.data import FitData, draw_shots, known_labels

MAX_ITERATIONS = 1000
MAX_LOGITS = 1 << 26


class LinearProbe(Method):
    """Multinomial regression on source features (linear probe of Radford et al., ICML 2021).

    ``L2 / 2 |A|^2 + sum of cross-entropies`` is minimized over weights A and biases b of the known
    classes. L2 is the value of a logarithmic grid with the least cross-entropy on a hold-out of
    every known class with two images or more; the final fit takes all source images. If nothing
    can be held out, L2 is the strongest.

    The original has no unknown classes; theirs are the frozen logits ``s f.w_c``. To be
    comparable (ours), known logits are ``m(f) + kappa (A f + b)_c``: m is the image's mean frozen
    logit over the known classes (A f + b has the mean 0 over them, and its scale follows from L2),
    kappa gives the deviations from the mean the frozen model's root mean square over the source
    images. Which known class is best does not depend on either.
    """

    title = "Linear probe"
    citation = "Radford et al., ICML 2021"
    settings: LinearProbeSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        text, rows = data.text, torch.arange(len(data.source_labels))
        if self.settings.shots:
            rows = draw_shots(data.source_labels, self.settings.shots, generator)
        n_images, n_known = len(rows), int(text.known.sum())
        if n_images * n_known > MAX_LOGITS:
            # The solver would hold them in float64, more than once.
            raise FitError(
                f"linear_probe would hold {n_images:,} x {n_known:,} logits several times over, "
                f"more than {MAX_LOGITS:,}",
                f"set methods.linear_probe.shots to {max(1, MAX_LOGITS // n_known**2)} or less",
            )
        features = data.source(rows)
        x = features.double().cpu().numpy()
        y = known_labels(data.source_labels[rows], text.known).cpu().numpy()
        self.l2_ = self._choose_l2(x, y, hold_out(y, self.settings.holdout, generator))
        weight, intercept = regress(x, y, self.l2_)
        self.weight_ = torch.from_numpy(weight).to(features)
        self.intercept_ = torch.from_numpy(intercept).to(features)
        frozen = text.zero_shot_logits(features)[:, text.known]
        spread = (frozen - frozen.mean(dim=1, keepdim=True)).square().mean().sqrt()
        probe = (features @ self.weight_.T + self.intercept_).square().mean().sqrt()
        self.scale_ = spread / probe if probe > 0 else torch.zeros_like(probe)

    def _choose_l2(self, x: NDArray, y: NDArray, held: NDArray) -> float:
        settings = self.settings
        grid = np.geomspace(settings.l2_high, settings.l2_low, settings.l2_count)
        if not held.any() or y.max() == 0:
            return float(grid[0])
        losses = []
        for number, l2 in enumerate(grid):
            weight, bias = regress(x[~held], y[~held], float(l2))
            logits = torch.from_numpy(x[held] @ weight.T + bias)
            loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y[held]))
            self._record(number + 1, settings.l2_count, {"holdout": (1.0, float(loss))})
            losses.append(float(loss))
        return float(grid[int(np.argmin(losses))])

    def _logits(self, features: Tensor) -> Tensor:
        logits, known = self.text_.zero_shot_logits(features), self.text_.known.nonzero()[:, 0]
        deviation = self.scale_ * (features @ self.weight_.T + self.intercept_)
        mean = logits.index_select(1, known).mean(dim=1, keepdim=True)
        return logits.index_copy(1, known, mean + deviation)

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        self.weight_, self.intercept_ = state["weight"], state["intercept"]
        self.scale_ = state["scale"]

    def _state(self) -> dict[str, Tensor]:
        learned = {"weight": self.weight_, "intercept": self.intercept_, "scale": self.scale_}
        return {**learned, **super()._state()}


def hold_out(labels: NDArray[np.int64], fraction: float, generator: torch.Generator) -> NDArray:
    """Return the rows to hold out, bool: ``fraction`` of each class, at least one, never all."""
    order = torch.randperm(len(labels), generator=generator).numpy()
    held = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        held[rows[: min(len(rows) - 1, max(1, round(fraction * len(rows))))]] = True
    return held


def regress(x: NDArray, y: NDArray, l2: float) -> tuple[NDArray, NDArray]:
    """Return weights ``(n_classes, dim)`` and biases ``(n_classes,)``, of mean 0 over classes."""
    from sklearn.linear_model import LogisticRegression

    if y.max() == 0:
        return np.zeros((1, x.shape[1])), np.zeros(1)
    with warnings.catch_warnings():
        # It takes many classes with few images for a regression; these are classes.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        model = LogisticRegression(C=1 / l2, max_iter=MAX_ITERATIONS).fit(x, y)
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:
        # For two classes scikit-learn returns the difference of their rows.
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight - weight.mean(axis=0), bias - bias.mean()
