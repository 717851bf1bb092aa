"""CLIP-Adapter on the image side."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.methods.base import FitData, Method, Progress, Terms, batches
from sreclip.methods.blocks import widened
from sreclip.methods.losses import known_cross_entropy


class ClipAdapter(Method):
    """``f' = ratio ReLU(W2 ReLU(W1 f)) + (1 - ratio) f`` (Gao et al., IJCV 2024).

    Deviations from the original: trained on cached features without augmentation, the softmax of
    the source cross-entropy is over the known classes only, Adam as the optimiser.

    Parameters
    ----------
    ratio : float
        Share of the adapted feature.
    reduction : int
        The bottleneck's width is ``dim / reduction``.
    lr : float
        Adam's learning rate.
    steps, batch_size : int
        Optimisation steps and source images a step.
    seed : int
        Seed of weights and batches.
    progress : callable, optional
        Called with step, number of steps and the loss terms.
    """

    title = "CLIP-Adapter"
    citation = "Gao et al., IJCV 2024"
    transductive = False

    def __init__(
        self,
        ratio: float = 0.2,
        reduction: int = 4,
        lr: float = 1e-3,
        steps: int = 300,
        batch_size: int = 256,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.ratio = ratio
        self.reduction = reduction
        self.lr = lr
        self.steps = steps
        self.batch_size = batch_size
        self.seed = seed
        self.progress = progress

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        text = data.text
        dim = text.features.shape[1]
        width = max(1, dim // self.reduction)
        self.adapter_ = nn.Sequential(
            nn.Linear(dim, width, bias=False),
            nn.ReLU(),
            nn.Linear(width, dim, bias=False),
            nn.ReLU(),
        ).to(text.features.device)
        optimizer = torch.optim.Adam(self.adapter_.parameters(), lr=self.lr)
        rows = batches(len(data.source_features), self.batch_size, generator)

        def terms() -> Terms:
            batch = next(rows)
            logits = self._logits(data.source(batch))
            loss = known_cross_entropy(logits, data.source_labels[batch], text.known)
            return {"source": (1.0, loss)}

        self._minimise(optimizer, terms, self.steps)

    def image_features(self, features: Tensor) -> Tensor:
        """``f'``, normalised."""
        features = widened(features)
        mixed = self.ratio * self.adapter_(features) + (1 - self.ratio) * features
        return F.normalize(mixed, dim=1)

    def _logits(self, features: Tensor) -> Tensor:
        return self.text_.zero_shot_logits(self.image_features(features))

    def state(self) -> dict[str, Tensor]:
        """Weights of the bottleneck and class vectors."""
        return {**self.adapter_.state_dict(), "text": self.text_.features}
