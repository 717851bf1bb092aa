"""bGCN: classifiers from a graph convolution, trained with a balance on unknown classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.config.methods import BgcnSettings
from sreclip.methods.base import Method, Terms, minimize
from sreclip.methods.data import FitData, batches
from sreclip.methods.layers import identity_adapter, load_prefixed, prototype_gcn
from sreclip.methods.logits import widened
from sreclip.methods.losses import balance_loss, unknown_mass
from sreclip.methods.training import decaying_sgd, regression, regression_loss


class Bgcn(Method):
    """A GCN's classifiers, fine-tuned on the source with a limited balance of unknown mass.

    A GCN first regresses the known classifiers, as in `GcnZsl`; the classifiers w_c start from its
    class vectors e_c. Then ``CE + tie * (|e - w|^2 over known / (2 K) + the same over unknown / (2
    U)) + balance * (u + c^2 / u)`` is minimized over w, GCN and image adapter, with the
    cross-entropy over all classes and u the mean unknown mass of a batch of target images. Logits
    are ``v.w_c / temperature``, v the normalized ``A f + b`` and w_c normalized. A weight of 0
    switches a term off.

    Source: Zhuo et al., "Unsupervised open domain recognition by semantic discrepancy
    minimization", CVPR 2019, and its authors' code (``junbaoZHUO/UODTN``), of which this is the
    part without the matching of domains. That code's own script for the baseline of this name has
    no tie, and -0.4 u instead of the limited balance.

    Deviations: features are cached, and the adapter (the identity at first) replaces the trained
    layers 3 and 4 of a ResNet-50; the GCN regresses normalized class means only, no ImageNet-1k
    classifiers, and no bias; node vectors are the backbone's own text vectors; vectors are
    normalized and divided by a temperature; known and unknown classifiers have one rate (theirs:
    5e-4 and 2e-4); there is no tie or balance term without an unknown class.
    """

    title = "bGCN"
    citation = "Zhuo et al., CVPR 2019, baseline"
    transductive = True
    settings: BgcnSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        settings, text = self.settings, data.text.features
        self.gcn_ = prototype_gcn(data, settings, text.shape[1])
        self.adapter_ = identity_adapter(text.shape[1]).to(text.device)
        self._classifiers = nn.Parameter(torch.zeros_like(text))
        first = settings.regression_steps
        rates = settings.regression_lr, settings.regression_weight_decay
        optimizer, terms = regression(self.gcn_, data, *rates)
        minimize([self], optimizer, terms, first, total=first + settings.steps)
        with torch.no_grad():
            self._classifiers.copy_(self.gcn_.eval()(data.graph))
        self.gcn_.train()
        optimizer, schedule = self._optimizer()
        pairs = self._pairs(data, generator)
        minimize(
            [self],
            optimizer,
            lambda: self._terms(data, *next(pairs)),
            settings.steps,
            schedule=schedule,
        )

    def _optimizer(self) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
        groups = [
            {"params": self.adapter_.parameters(), "lr": self.settings.adapter_lr},
            {"params": [self._classifiers], "lr": self.settings.classifier_lr},
            {"params": self.gcn_.parameters(), "lr": self.settings.gcn_lr},
        ]
        return decaying_sgd(groups, self.settings)

    def _pairs(self, data: FitData, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows of a batch of source and of target images, without end."""
        return zip(
            batches(len(data.source_features), self.settings.batch_size, generator),
            batches(len(data.target_features), self.settings.batch_size, generator),
            strict=True,
        )

    def _terms(self, data: FitData, source_rows: Tensor, target_rows: Tensor) -> Terms:
        classifiers = F.normalize(self._classifiers, dim=1)
        source = self.image_features(data.source(source_rows))
        target = self.image_features(data.target(target_rows))
        source_logits, target_logits = (
            images @ classifiers.T / self.settings.temperature for images in (source, target)
        )
        labels = data.source_labels[source_rows]
        terms = {"cross_entropy": (1.0, F.cross_entropy(source_logits, labels))}
        if self.settings.tie:
            tie = tie_loss(self.gcn_(data.graph), classifiers, data.text.known)
            terms["tie"] = (self.settings.tie, tie)
        return terms | self._target_terms(source, target, source_logits, target_logits)

    def _target_terms(
        self, source: Tensor, target: Tensor, source_logits: Tensor, target_logits: Tensor
    ) -> dict[str, tuple[float, Tensor]]:
        return self._balance_term(target_logits)

    def _balance_term(self, logits: Tensor) -> dict[str, tuple[float, Tensor]]:
        settings, known = self.settings, self.text_.known
        if not settings.balance or known.all() or not len(logits):
            return {}
        mass = unknown_mass(logits, known)
        return {"balance": (settings.balance, balance_loss(mass, settings.c))}

    @torch.no_grad()
    def _finish(self, data: FitData) -> None:
        self.classifiers_ = F.normalize(self._classifiers, dim=1)

    def image_features(self, features: Tensor) -> Tensor:
        """Return v, ``(n_images, dim)``."""
        return F.normalize(self.adapter_(widened(features)), dim=1)

    def _logits(self, features: Tensor) -> Tensor:
        return self.image_features(features) @ self.classifiers_.T / self.settings.temperature

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        self.classifiers_ = state["classifiers"]
        self.adapter_ = identity_adapter(self.classifiers_.shape[1])
        load_prefixed(self.adapter_, state, "adapter.")

    def _state(self) -> dict[str, Tensor]:
        return {**self.adapter_.state_dict(prefix="adapter."), "classifiers": self.classifiers_}


def tie_loss(prototypes: Tensor, classifiers: Tensor, known: Tensor) -> Tensor:
    """Return the sum of the `regression_loss` of known and of unknown classes."""
    sides = [side for side in (known, ~known) if side.any()]
    losses = [regression_loss(prototypes[side], classifiers[side]) for side in sides]
    return torch.stack(losses).sum()
