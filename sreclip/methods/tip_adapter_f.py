"""Tip-Adapter-F: Tip-Adapter with trained keys."""

from __future__ import annotations

from dataclasses import replace

import torch

from sreclip.config.methods import TipAdapterFSettings
from sreclip.methods.base import minimize
from sreclip.methods.data import FitData
from sreclip.methods.source_only import source_loss
from sreclip.methods.tip_adapter import TipAdapter


class TipAdapterF(TipAdapter):
    """`TipAdapter` whose keys are trained on the cached images (Zhang et al., ECCV 2022).

    AdamW with the rate going to zero along a cosine, as in the original. Further deviations: the
    images are the cached features themselves, without augmentation, so that each is its own key;
    the softmax of the cross-entropy is over the known classes only; the last epoch counts, not the
    best one on the test set.
    """

    title = "Tip-Adapter-F"
    settings: TipAdapterFSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        super()._fit(data, generator)
        settings = self.settings
        cached = replace(
            data,
            source_features=self.keys_.clone(),
            source_labels=data.text.known.nonzero().squeeze(1)[self.values_.argmax(dim=1)],
        )
        self.keys_.requires_grad_()
        # `batches` leaves out the remainder of a pass.
        total = settings.epochs * max(1, len(self.keys_) // settings.batch_size)
        optimizer = torch.optim.AdamW([self.keys_], lr=settings.lr, eps=1e-4, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, total))
        terms = source_loss(cached, settings.batch_size, [generator], self._logits)
        minimize([self], optimizer, terms, total, schedule=schedule)
