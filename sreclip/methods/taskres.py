"""TaskRes: a learned residual on the class vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.methods.base import FitData, Method, Progress, Terms, batches
from sreclip.methods.losses import known_cross_entropy


class TaskRes(Method):
    """``w'_c = norm(w_c + alpha x_c)``, x zero at the start (Yu et al., CVPR 2023).

    Deviations from the original: trained on all cached source features without augmentation, with
    a constant rate; class vectors are the prompt ensemble's; the softmax of the source
    cross-entropy is over the known classes only, so that the residual of an unknown class stays
    zero.

    Parameters
    ----------
    alpha : float
        Weight of the residual.
    lr : float
        Adam's learning rate.
    steps, batch_size : int
        Optimisation steps and source images a step.
    seed : int
        Seed of the batches.
    progress : callable, optional
        Called with step, number of steps and the loss terms.
    """

    title = "TaskRes"
    citation = "Yu et al., CVPR 2023"
    transductive = False

    def __init__(
        self,
        alpha: float = 0.5,
        lr: float = 2e-3,
        steps: int = 300,
        batch_size: int = 256,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.lr = lr
        self.steps = steps
        self.batch_size = batch_size
        self.seed = seed
        self.progress = progress

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        self.residual_ = torch.zeros_like(data.text.features).requires_grad_()
        optimizer = torch.optim.Adam([self.residual_], lr=self.lr)
        rows = batches(len(data.source_features), self.batch_size, generator)

        def terms() -> Terms:
            batch = next(rows)
            logits = self._logits(data.source(batch))
            loss = known_cross_entropy(logits, data.source_labels[batch], data.text.known)
            return {"source": (1.0, loss)}

        self._minimise(optimizer, terms, self.steps)

    def _class_vectors(self) -> Tensor:
        return F.normalize(self.text_.features + self.alpha * self.residual_, dim=1)

    def _logits(self, features: Tensor) -> Tensor:
        return self.text_.logit_scale * features @ self._class_vectors().T

    def state(self) -> dict[str, Tensor]:
        """Adapted class vectors."""
        return {"text": self._class_vectors().detach()}
