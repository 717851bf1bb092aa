"""TaskRes: a learned residual on the class vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.config.methods import TaskResSettings
from sreclip.methods.base import Method
from sreclip.methods.data import FitData


class TaskRes(Method):
    """``w'_c = norm(w_c + alpha x_c)``, x zero at the start (Yu et al., CVPR 2023).

    Deviations from the original: trained on all cached source features without augmentation, with
    a constant rate; class vectors are the prompt ensemble's; the softmax of the source
    cross-entropy is over the known classes only, so that the residual of an unknown class stays
    zero.
    """

    title = "TaskRes"
    citation = "Yu et al., CVPR 2023"
    settings: TaskResSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        self.residual_ = torch.zeros_like(data.text.features).requires_grad_()
        optimizer = torch.optim.Adam([self.residual_], lr=self.settings.lr)
        terms = self._source_loss(data, self.settings.batch_size, generator)
        self._minimize(optimizer, terms, self.settings.steps)

    def _class_vectors(self) -> Tensor:
        return F.normalize(self.text_.features + self.settings.alpha * self.residual_, dim=1)

    def _logits(self, features: Tensor) -> Tensor:
        return self.text_.logit_scale * features @ self._class_vectors().T

    def _state(self) -> dict[str, Tensor]:
        return {"text": self._class_vectors().detach()}
