"""Tip-Adapter-F: Tip-Adapter with trained keys."""

from __future__ import annotations

import torch

from sreclip.methods.base import FitData, Progress, Terms, batches
from sreclip.methods.losses import known_cross_entropy
from sreclip.methods.tip_adapter import TipAdapter


class TipAdapterF(TipAdapter):
    """`TipAdapter` whose keys are trained on the cached images (Zhang et al., ECCV 2022).

    AdamW with the rate going to zero along a cosine, as in the original. Deviations beside
    `TipAdapter`'s: the images are the cached features themselves, without augmentation, so that
    each is its own key; the softmax of the cross-entropy is over the known classes only; the last
    epoch counts, not the best one on the test set.

    Parameters
    ----------
    alpha, beta, shots, centered
        As in `TipAdapter`.
    lr : float
        AdamW's learning rate at the start.
    epochs, batch_size : int
        Passes over the cached images and images a step.
    seed : int
        Seed of shots and batches.
    progress : callable, optional
        Called with step, number of steps and the loss terms.
    """

    title = "Tip-Adapter-F"

    def __init__(
        self,
        alpha: float = 1.17,
        beta: float = 1.0,
        shots: int = 16,
        centered: bool = True,
        lr: float = 1e-3,
        epochs: int = 20,
        batch_size: int = 256,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(alpha, beta, shots, centered, seed, progress)
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        super()._fit(data, generator)
        known = data.text.known
        images = self.keys_.clone()
        labels = known.nonzero().squeeze(1)[self.values_.argmax(dim=1)]
        self.keys_.requires_grad_()
        # `batches` carries a remainder over to the next pass.
        total = self.epochs * max(1, len(images) // self.batch_size)
        optimizer = torch.optim.AdamW([self.keys_], lr=self.lr, eps=1e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, total))
        rows = batches(len(images), self.batch_size, generator)

        def terms() -> Terms:
            batch = next(rows)
            loss = known_cross_entropy(self._logits(images[batch]), labels[batch], known)
            return {"source": (1.0, loss)}

        self._minimise(optimizer, terms, total, schedule=schedule)
