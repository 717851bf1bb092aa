"""TSCE: what SRE-CLIP's published code was made from."""

from __future__ import annotations

from typing import Literal

import torch

from sreclip.methods.base import FitData, Progress
from sreclip.methods.bgcn import identity_adapter
from sreclip.methods.gcn_zsl import regression_terms
from sreclip.methods.sre_clip_reference import PrototypeGcn, SreClipReference


class Tsce(SreClipReference):
    """The reference SRE-CLIP without its relation term, attention adapter and warm-up.

    A GCN first regresses the known classifiers, as in `GcnZsl`. Then, from the first step on,
    ``CE + rank * rank loss + entropy * H(p) - diversity * H(mean p over the bank) + balance * (u +
    c^2 / u)`` is minimised, the terms being those of `SreClipReference`. Logits are ``v.e_c /
    temperature``, v the normalised ``A f + b``, e_c the GCN's class rows.

    Source: Zhang et al., "Semantic consistent embedding for domain adaptive zero-shot learning",
    IEEE TIP 32, 2023; weights, rates and schedule are those of its authors' code for I2AwA
    (``tiggers23/TSCE-Domain-Adaptive-Zero-Shot-Learning``).

    Deviations: cached features, so that the adapter, the identity at first, stands for the trained
    layers 3 and 4 of a ResNet-50 (rates 1e-3 and 2e-3); the GCN regresses normalised class means
    alone, not ImageNet-1k classifiers beside them; node vectors are the backbone's own text
    vectors; the rank loss compares the distances that it was meant to compare unless
    ``rank_pairs`` is ``as_coded``; no balance term without an unknown class; the last step counts.

    Every parameter is described in ``TsceSettings``; a weight of 0 switches a term off.
    """

    title = "TSCE"
    citation = "Zhang et al., IEEE TIP 2023"
    transductive = True
    baseline = True
    # Its adapter is a linear map: there is no attention over the batch.
    batch_dependent = False

    def __init__(
        self,
        gcn_width: int = 1024,
        dropout: float = 0.5,
        regression_steps: int = 300,
        regression_lr: float = 1e-3,
        regression_weight_decay: float = 5e-4,
        temperature: float = 0.05,
        rank: float = 10.0,
        rank_pairs: Literal["as_intended", "as_coded"] = "as_intended",
        rank_sample: int = 4096,
        entropy: float = 5.0,
        diversity: float = 5.0,
        bank_size: int = 768,
        balance: float = 5.0,
        c: float = 0.3,
        adapter_lr: float = 1e-3,
        gcn_lr: float = 5e-3,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        decay: float = 1e-3,
        decay_power: float = 0.75,
        steps: int = 2000,
        batch_size: int = 256,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(
            gcn_width=gcn_width,
            dropout=dropout,
            temperature=temperature,
            rank=rank,
            rank_pairs=rank_pairs,
            rank_sample=rank_sample,
            relation=0.0,
            source=1.0,
            entropy=entropy,
            diversity=diversity,
            bank_size=bank_size,
            balance=balance,
            c=c,
            adapter_lr=adapter_lr,
            gcn_lr=gcn_lr,
            momentum=momentum,
            weight_decay=weight_decay,
            decay=decay,
            decay_power=decay_power,
            warmup_steps=0,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            progress=progress,
        )
        self.regression_steps = regression_steps
        self.regression_lr = regression_lr
        self.regression_weight_decay = regression_weight_decay

    def _build(self, data: FitData) -> None:
        device = data.text.features.device
        dim, node_dim = data.text.features.shape[1], data.graph.node_features.shape[1]
        self.gcn_ = PrototypeGcn(node_dim, self.gcn_width, dim, self.dropout).to(device)
        self.adapter_ = identity_adapter(dim).to(device)
        self._minimise(
            torch.optim.Adam(
                self.gcn_.parameters(),
                lr=self.regression_lr,
                weight_decay=self.regression_weight_decay,
            ),
            regression_terms(self.gcn_, data),
            self.regression_steps,
            total=self.regression_steps + self.steps,
        )
