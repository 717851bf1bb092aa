"""bGCN: classifiers from a graph convolution, trained with a balance on unknown classes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.methods.base import FitData, Method, Progress, Terms, batches
from sreclip.methods.blocks import widened
from sreclip.methods.gcn_zsl import regression_loss, regression_terms
from sreclip.methods.losses import balance_loss
from sreclip.methods.sre_clip_reference import PrototypeGcn, rate_factor


class Bgcn(Method):
    """A GCN's classifiers, fine-tuned on the source with a limited balance of unknown mass.

    A GCN first regresses the known classifiers, as in `GcnZsl`, and its class vectors e_c are what
    the classifiers w_c start from. Then ``CE + tie * (|e - w|^2 over known / (2 K) + the same over
    unknown / (2 U)) + balance * (u + c^2 / u)`` is minimised over w, GCN and image adapter, with
    the cross-entropy over all classes and u the mean unknown mass of a batch of target images.
    Logits are ``v.w_c / temperature``, v the normalised ``A f + b`` and w_c normalised.

    Source: Zhuo et al., "Unsupervised open domain recognition by semantic discrepancy
    minimization", CVPR 2019, and its authors' code (``junbaoZHUO/UODTN``), of which this is the
    part without the matching of domains. The code's own script for the baseline of that name has
    no tie and, in place of the limited balance, -0.4 u.

    Deviations: cached features, so that the adapter, the identity at first, stands for the trained
    layers 3 and 4 of a ResNet-50; the GCN regresses normalised class means alone, not ImageNet-1k
    classifiers beside them, and has no bias to give; node vectors are the backbone's own text
    vectors; vectors are normalised and divided by a temperature; one rate for known and unknown
    classifiers (theirs: 5e-4 and 2e-4); no tie or balance term without an unknown class.

    Every parameter is described in ``BgcnSettings``; a weight of 0 switches a term off.
    """

    title = "bGCN"
    citation = "Zhuo et al., CVPR 2019, baseline"
    transductive = True

    def __init__(
        self,
        width: int = 1024,
        dropout: float = 0.5,
        regression_steps: int = 300,
        regression_lr: float = 1e-3,
        regression_weight_decay: float = 5e-4,
        temperature: float = 0.05,
        tie: float = 1.5,
        balance: float = 3.0,
        c: float = 0.09,
        adapter_lr: float = 2e-4,
        classifier_lr: float = 5e-4,
        gcn_lr: float = 5e-4,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        decay: float = 1e-3,
        decay_power: float = 0.75,
        steps: int = 1200,
        batch_size: int = 90,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.width = width
        self.dropout = dropout
        self.regression_steps = regression_steps
        self.regression_lr = regression_lr
        self.regression_weight_decay = regression_weight_decay
        self.temperature = temperature
        self.tie = tie
        self.balance = balance
        self.c = c
        self.adapter_lr = adapter_lr
        self.classifier_lr = classifier_lr
        self.gcn_lr = gcn_lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.decay = decay
        self.decay_power = decay_power
        self.steps = steps
        self.batch_size = batch_size
        self.seed = seed
        self.progress = progress

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        device = data.text.features.device
        dim, node_dim = data.text.features.shape[1], data.graph.node_features.shape[1]
        self.gcn_ = PrototypeGcn(node_dim, self.width, dim, self.dropout).to(device)
        self.adapter_ = identity_adapter(dim).to(device)
        self._classifiers = nn.Parameter(torch.zeros_like(data.text.features))
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
        with torch.no_grad():
            self._classifiers.copy_(self.gcn_.eval()(data.graph))
        self.gcn_.train()
        pairs = self._pairs(data, generator)
        optimizer, schedule = self._optimizer()
        self._minimise(
            optimizer,
            lambda: self._terms(data, *next(pairs)),
            self.steps,
            schedule=schedule,
            done=self.regression_steps,
        )

    def _optimizer(self) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
        optimizer = torch.optim.SGD(
            [
                {"params": self.adapter_.parameters(), "lr": self.adapter_lr},
                {"params": [self._classifiers], "lr": self.classifier_lr},
                {"params": self.gcn_.parameters(), "lr": self.gcn_lr},
            ],
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.momentum > 0,
        )
        return optimizer, torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(step, 0, self.decay, self.decay_power)
        )

    def _pairs(self, data: FitData, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Row numbers of a batch of source and of target images, for ever."""
        return zip(
            batches(len(data.source_features), self.batch_size, generator),
            batches(len(data.target_features), self.batch_size, generator),
            strict=True,
        )

    def _terms(self, data: FitData, source_rows: Tensor, target_rows: Tensor) -> Terms:
        classifiers = F.normalize(self._classifiers, dim=1)
        source = self.image_features(data.source(source_rows))
        target = self.image_features(data.target(target_rows))
        source_logits, target_logits = (
            images @ classifiers.T / self.temperature for images in (source, target)
        )
        labels = data.source_labels[source_rows]
        terms = {"cross_entropy": (1.0, F.cross_entropy(source_logits, labels))}
        if self.tie:
            tie = tie_loss(self.gcn_(data.graph), classifiers, data.text.known)
            terms["tie"] = (self.tie, tie)
        return terms | self._target_terms(source, target, source_logits, target_logits)

    def _target_terms(
        self, source: Tensor, target: Tensor, source_logits: Tensor, target_logits: Tensor
    ) -> dict[str, tuple[float, Tensor]]:
        return self._balance_term(target_logits)

    def _balance_term(self, logits: Tensor) -> dict[str, tuple[float, Tensor]]:
        unknown = ~self.text_.known
        if not (self.balance and unknown.any() and len(logits)):
            return {}
        mass = logits.softmax(dim=1)[:, unknown].sum(dim=1)
        return {"balance": (self.balance, balance_loss(mass, self.c))}

    @torch.no_grad()
    def _finish(self, data: FitData) -> None:
        self.classifiers_ = F.normalize(self._classifiers, dim=1)

    def image_features(self, features: Tensor) -> Tensor:
        """v, ``(n_images, dim)``."""
        return F.normalize(self.adapter_(widened(features)), dim=1)

    def _logits(self, features: Tensor) -> Tensor:
        return self.image_features(features) @ self.classifiers_.T / self.temperature

    def state(self) -> dict[str, Tensor]:
        """Adapter and classifiers of all classes."""
        adapter = {f"adapter.{name}": value for name, value in self.adapter_.state_dict().items()}
        return {**adapter, "classifiers": self.classifiers_}


def identity_adapter(dim: int) -> nn.Linear:
    """``A f + b``, f itself at first."""
    adapter = nn.utils.skip_init(nn.Linear, dim, dim)
    nn.init.eye_(adapter.weight)
    nn.init.zeros_(adapter.bias)
    return adapter


def tie_loss(prototypes: Tensor, classifiers: Tensor, known: Tensor) -> Tensor:
    """`regression_loss` of the known and of the unknown classes, added up.

    Parameters
    ----------
    prototypes, classifiers : Tensor
        Unit norm, ``(n_classes, dim)``.
    known : Tensor
        ``(n_classes,)``, bool.
    """
    sides = [side for side in (known, ~known) if side.any()]
    losses = [regression_loss(prototypes[side], classifiers[side]) for side in sides]
    return torch.stack(losses).sum()
