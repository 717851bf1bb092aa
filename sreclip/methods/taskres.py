"""TaskRes: a learned residual on the class vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.config.methods import TaskResSettings
from sreclip.methods.source_only import SourceOnlyMethod


class Residual(nn.Module):
    """``norm(w + alpha x)``, with x learned; of `stacked` ones, for each."""

    def __init__(self, shape: torch.Size, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.residual = nn.Parameter(torch.zeros(shape))

    def forward(self, vectors: Tensor) -> Tensor:
        """Change unit-norm ``vectors``, ``(n_classes, dim)``."""
        return F.normalize(vectors + self.alpha * self.residual, dim=-1)


class TaskRes(SourceOnlyMethod):
    """``w'_c = norm(w_c + alpha x_c)``, x zero at the start (Yu et al., CVPR 2023).

    Deviations from the original: trained on all cached source features without augmentation, with
    a constant rate; class vectors are the prompt ensemble's; the softmax of the source
    cross-entropy is over the known classes only, so that the residual of an unknown class stays
    zero.
    """

    title = "TaskRes"
    citation = "Yu et al., CVPR 2023"
    settings: TaskResSettings

    def _adapter(self, text: Tensor) -> nn.Module:
        return Residual(text.shape, self.settings.alpha)

    def _scores(self, adapter: nn.Module, features: Tensor) -> Tensor:
        return self.text_.logit_scale * (features @ adapter(self.text_.features).mT)

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        self.text_, self.adapter_ = replace(self.text_, features=state["text"]), nn.Identity()

    def _state(self) -> dict[str, Tensor]:
        return {"text": self.adapter_(self.text_.features).detach()}
