"""SRE-CLIP as its authors' published code has it, term by term."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.config.methods import SreClipReferenceSettings
from sreclip.methods.base import Method, Terms, minimize
from sreclip.methods.data import ClassGraph, ClassText, FitData, batches
from sreclip.methods.layers import (
    BatchAttentionAdapter,
    FeatureBank,
    load_prefixed,
    prototype_gcn,
)
from sreclip.methods.logits import Block, widened
from sreclip.methods.losses import (
    RankLoss,
    balance_loss,
    diversity_loss,
    entropy_loss,
    euclidean_distances,
    relation_loss,
    unknown_mass,
)
from sreclip.methods.training import decaying_sgd

EVALUATION_SEED = 0


class SreClipReference(Method):
    """SRE-CLIP after its authors' published code (arXiv 2510.21808).

    Logits are ``v.e_c / temperature``: v the normalized output of `BatchAttentionAdapter`, e_c the
    prototypes of a two-layer GCN on the relation graph, both from a random start. For the first
    ``warmup_steps`` the loss is the source loss, ``CE + rank * rank loss + relation * relation
    loss``, with the cross-entropy over all classes; then ``source`` times that plus the target
    loss ``entropy * H(p) - diversity * H(mean p over the bank) + balance * (u + c^2 / u)``. The
    entropy treats the prototypes as constants; the other two start once the bank is full, and the
    diversity trains only the prototypes, the balance both sides. A weight of 0 switches a term off.

    Deviations: features are cached, without image augmentation; the rank loss compares the intended
    distances unless ``rank_pairs`` is ``as_coded``; node vectors are the backbone's own text
    vectors; in the warm-up, targets pass through the adapter only where the bank needs them;
    without an unknown class there is no balance term. The authors evaluate class-sorted batches,
    which tells the adapter about labels, and each metric at its best step on test labels. Here the
    last step counts, and images are scored in mixed batches, shuffled with a fixed seed. A
    prediction still depends on the other images of its batch.
    """

    title = "SRE-CLIP (reference)"
    citation = "Yu et al., arXiv 2510.21808, after the authors' code"
    transductive = True
    baseline = False
    batch_dependent = True
    settings: SreClipReferenceSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        settings, graph = self.settings, data.graph
        self._build(data)
        nodes = graph.node_features[graph.class_nodes]
        self._rank_loss = RankLoss(
            partial(euclidean_distances, nodes),
            len(nodes),
            sample=settings.rank_sample,
            generator=generator,
            as_coded=settings.rank_pairs == "as_coded",
        )
        optimizer, schedule = self._optimizer()
        n_target = len(data.target_features)
        source_rows = batches(len(data.source_features), settings.batch_size, generator)
        target_rows = batches(n_target, settings.batch_size, generator)
        bank = FeatureBank(settings.bank_size)
        fill_steps = math.ceil(settings.bank_size / min(settings.batch_size, n_target))
        steps = iter(range(settings.steps))

        def terms() -> Terms:
            step, rows = next(steps), next(source_rows)
            labels, prototypes = data.source_labels[rows], self._class_side(graph)
            if step < settings.warmup_steps:
                if step >= settings.warmup_steps - fill_steps:
                    with torch.no_grad():
                        bank.add(self._image_side(data.target(next(target_rows))))
                return self._source_terms(self._image_side(data.source(rows)), labels, prototypes)
            source, target = self._image_sides(data.source(rows), data.target(next(target_rows)))
            weighted = {
                name: (settings.source * weight, term)
                for name, (weight, term) in self._source_terms(source, labels, prototypes).items()
            }
            return weighted | self._target_terms(target, prototypes, bank)

        minimize([self], optimizer, terms, settings.steps, schedule=schedule)

    def _adapter(self, dim: int) -> nn.Module:
        """Return the adapter of the images as it is before the first step."""
        return BatchAttentionAdapter(dim, self.settings.width)

    def _build(self, data: FitData) -> None:
        """Make adapter and GCN as they are before the first step."""
        settings, text = self.settings, data.text.features
        self.adapter_ = self._adapter(text.shape[1]).to(text.device)
        self.gcn_ = prototype_gcn(data, settings, settings.width)

    @torch.no_grad()
    def _finish(self, data: FitData) -> None:
        self.gcn_.eval()
        self.prototypes_ = self._class_side(data.graph)

    def _optimizer(self) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
        settings = self.settings
        groups = [
            {"params": self.adapter_.parameters(), "lr": settings.adapter_lr},
            {"params": self.gcn_.parameters(), "lr": settings.gcn_lr},
        ]
        fused = self.text_.features.device.type in ("cpu", "cuda")
        return decaying_sgd(groups, settings, settings.warmup_steps, fused)

    def _autocast(self, device: torch.device) -> torch.autocast:
        half = self.settings.precision == "bfloat16"
        return torch.autocast(device.type, torch.bfloat16, enabled=half)

    def _class_side(self, graph: ClassGraph) -> Tensor:
        """Return prototypes, ``(n_classes, width)``."""
        with self._autocast(graph.node_features.device):
            return self.gcn_(graph)

    def _image_side(self, features: Tensor) -> Tensor:
        """Return ``v / temperature`` of a batch or of several, ``(..., n_images, width)``."""
        with self._autocast(features.device):
            images = self.adapter_(features)
        return F.normalize(images.to(features.dtype), dim=-1) / self.settings.temperature

    def _image_sides(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``v / temperature`` of a batch per domain; of equally large ones, in one go."""
        if source.shape != target.shape:
            return self._image_side(source), self._image_side(target)
        of_source, of_target = self._image_side(torch.stack([source, target])).unbind()
        return of_source, of_target

    def _source_terms(
        self, images: Tensor, labels: Tensor, prototypes: Tensor
    ) -> dict[str, tuple[float, Tensor]]:
        logits = images @ prototypes.T
        terms = {"cross_entropy": (1.0, F.cross_entropy(logits, labels))}
        if weight := self.settings.rank:
            terms["rank"] = (weight, self._rank_loss(partial(euclidean_distances, prototypes)))
        if weight := self.settings.relation:
            terms["relation"] = (weight, relation_loss(logits, prototypes))
        return terms

    def _target_terms(
        self, images: Tensor, prototypes: Tensor, bank: FeatureBank
    ) -> dict[str, tuple[float, Tensor]]:
        settings, known = self.settings, self.text_.known
        terms: dict[str, tuple[float, Tensor]] = {}
        if weight := settings.entropy:
            terms["entropy"] = (weight, entropy_loss(images @ prototypes.detach().T))
        if bank.add(images) and bank.features is not None:
            if weight := settings.diversity:
                terms["diversity"] = (weight, diversity_loss(bank.features @ prototypes.T))
            if (weight := settings.balance) and not known.all():
                mass = unknown_mass(images @ prototypes.T, known)
                terms["balance"] = (weight, balance_loss(mass, settings.c))
        return terms

    def _batches(self, n_images: int) -> Sequence[Tensor]:
        """Return the rows of ``scoring_batches``, or of mixed batches of about equal size."""
        if self.scoring_batches is not None:
            return self.scoring_batches
        generator = torch.Generator().manual_seed(EVALUATION_SEED)
        order = torch.randperm(n_images, generator=generator)
        return order.tensor_split(max(1, math.ceil(n_images / self.settings.batch_size)))

    @torch.inference_mode()
    def _blocks(self, features: Tensor) -> Iterator[Block]:
        classes = torch.arange(len(self.prototypes_), device=features.device)
        for rows in self._batches(len(features)):
            logits = self._logits(widened(features[rows]))
            yield Block(rows.to(features.device), classes, logits)

    @torch.inference_mode()
    def image_features(self, features: Tensor) -> Tensor:
        """Return v, ``(n_images, width)``, in the batches of `logit_blocks`."""
        images = self.prototypes_.new_empty(len(features), self.prototypes_.shape[1])
        for rows in self._batches(len(features)):
            images[rows] = self._image_side(widened(features[rows])) * self.settings.temperature
        return images

    def anchors(self) -> ClassText:
        """Return the prototypes: images and texts are in another space."""
        return replace(
            self.text_, features=self.prototypes_, logit_scale=1 / self.settings.temperature
        )

    def _logits(self, features: Tensor) -> Tensor:
        return self._image_side(features) @ self.prototypes_.T

    def _state(self) -> dict[str, Tensor]:
        return {**self.adapter_.state_dict(prefix="adapter."), "prototypes": self.prototypes_}

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        self.adapter_ = self._adapter(self.text_.features.shape[1])
        load_prefixed(self.adapter_, state, "adapter.")
        self.prototypes_ = state["prototypes"]
