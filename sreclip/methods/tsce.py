"""TSCE: what SRE-CLIP's published code was made from."""

from __future__ import annotations

from torch import nn

from sreclip.config.methods import TsceSettings
from sreclip.methods.base import minimize
from sreclip.methods.data import FitData
from sreclip.methods.layers import identity_adapter, prototype_gcn
from sreclip.methods.sre_clip_reference import SreClipReference
from sreclip.methods.training import regression


class Tsce(SreClipReference):
    """The reference SRE-CLIP without its relation term, attention adapter and warm-up.

    A GCN first regresses the known classifiers, as in `GcnZsl`. Then, from the first step on,
    ``CE + rank * rank loss + entropy * H(p) - diversity * H(mean p over the bank) + balance * (u +
    c^2 / u)`` is minimized; the terms are those of `SreClipReference`. Logits are ``v.e_c /
    temperature``, v the normalized ``A f + b``, e_c the GCN's class rows. A weight of 0 switches a
    term off.

    Source: Zhang et al., "Semantic consistent embedding for domain adaptive zero-shot learning",
    IEEE TIP 32, 2023; weights, rates and schedule are those of its authors' code for I2AwA
    (``tiggers23/TSCE-Domain-Adaptive-Zero-Shot-Learning``).

    Deviations: features are cached, and the adapter (the identity at first) replaces the trained
    layers 3 and 4 of a ResNet-50 (rates 1e-3 and 2e-3); the GCN regresses normalized class means
    only, no ImageNet-1k classifiers; node vectors are the backbone's own text vectors; the rank
    loss compares the intended distances unless ``rank_pairs`` is ``as_coded``; there is no balance
    term without an unknown class; the last step counts.
    """

    title = "TSCE"
    citation = "Zhang et al., IEEE TIP 2023"
    baseline = True
    # Its adapter is a linear map: there is no attention over the batch.
    batch_dependent = False
    # This model has all that the reference reads, what TSCE fixes as class variables.
    settings: TsceSettings  # type: ignore[assignment]

    def _adapter(self, dim: int) -> nn.Module:
        return identity_adapter(dim)

    def _build(self, data: FitData) -> None:
        settings, text = self.settings, data.text.features
        self.gcn_ = prototype_gcn(data, settings, text.shape[1])
        self.adapter_ = self._adapter(text.shape[1]).to(text.device)
        first = settings.regression_steps
        rates = settings.regression_lr, settings.regression_weight_decay
        optimizer, terms = regression(self.gcn_, data, *rates)
        minimize([self], optimizer, terms, first, total=first + settings.steps)
