"""The trained adapters of SRE-CLIP, and the steps that train them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Self

import torch
from torch import Tensor, nn

from sreclip.config.sre_clip import SreClipSettings
from sreclip.methods.base import Method, Terms, minimize
from sreclip.methods.data import FitData, batches
from sreclip.methods.layers import ClassAdapter, ImageAdapter, load_prefixed
from sreclip.methods.logits import score_in_blocks, widened
from sreclip.methods.losses import (
    MAX_EXACT_CLASSES,
    RankLoss,
    anchor_loss,
    balance_loss,
    divergences,
    diversity_loss,
    entropy_loss,
    known_cross_entropy,
    relation_distillation,
    retention_loss,
    soft_label_loss,
    unit_distances,
    unknown_mass,
)
from sreclip.methods.stacked import MOST_VALUES, stacked
from sreclip.refinement.candidates import MOST_CANDIDATES, Candidates


class Adapters(nn.Module):
    """An adapter of the images and one of the classes, which start as the frozen model."""

    texts: Tensor
    prototypes: Tensor

    def __init__(self, text: Tensor, nodes: Tensor, settings: SreClipSettings) -> None:
        super().__init__()
        dim = text.shape[1]
        self.image = ImageAdapter(dim, settings.width, settings.image_scale, settings.attention)
        self.classes = ClassAdapter(dim, settings.gcn_width, settings.class_scale, settings.dropout)
        self.register_buffer("texts", torch.cat([text, nodes]))
        self.register_buffer("prototypes", text)
        self.to(text.device)

    @classmethod
    def restored(cls, state: Mapping[str, Tensor], prefix: str, settings: SreClipSettings) -> Self:
        """Return what has the state of these names, `settle` included."""
        text, texts = state[f"{prefix}prototypes"], state[f"{prefix}texts"]
        adapters = cls(text, texts[len(text) :], settings)
        load_prefixed(adapters, state, prefix)
        return adapters

    @torch.no_grad()
    def settle(self, data: FitData) -> None:
        """Compute the class vectors of the adapter as it is."""
        self.prototypes = self.classes(data.text.features, data.graph)

    @torch.no_grad()
    def cosines(self, features: Tensor) -> Tensor:
        """Return the cosines of adapted images and class vectors, ``(n_images, n_classes)``."""
        return self.image.cosines(features, self.texts, self.prototypes)


def adapters_at_once(settings: SreClipSettings, data: FitData) -> int:
    """Return how many seeds' activations and soft labels are `MOST_VALUES` at most."""
    n_classes, dim = data.text.features.shape
    n_nodes = len(data.graph.node_features)
    per_image = 4 * dim + 4 * settings.width + 8 * n_classes + 2 * (n_classes + n_nodes)
    per_node = 2 * dim + 4 * settings.gcn_width
    values = 2 * settings.batch_size * per_image + n_nodes * per_node
    if n_classes > MAX_EXACT_CLASSES:
        values += 4 * settings.rank_sample * dim
    if settings.self_training and settings.rounds:
        values += 2 * len(data.target_features) * min(n_classes, MOST_CANDIDATES)
    return max(1, MOST_VALUES // values)


class Adaptable(Method):
    """A method that has `Adapters`."""

    settings: SreClipSettings
    adapters_: Adapters | None


@dataclass
class Batch:
    """Images of both domains, and what of them stays the same while the adapters learn.

    Tensors are ``(n_fits, n_images, ...)``, without the first dimension where all fits have the
    same images. ``frozen`` and ``frozen_unknown`` are the frozen model's logits, ``soft_labels``
    probabilities; None where no loss term asks for them.
    """

    images: Tensor
    sizes: list[int]
    labels: Tensor
    frozen: Tensor | None
    frozen_unknown: Tensor | None
    soft_labels: Tensor | None


class AdapterTraining:
    """The steps of fits with different seeds, as one batch.

    Tensors have a first dimension of one entry per fit, and so do the stacked adapters' parameters.
    What is drawn is drawn by each fit's own generators.
    """

    def __init__(self, methods: Sequence[Adaptable], data: FitData) -> None:
        self.methods, self.data, self.settings = methods, data, methods[0].settings
        self.generators = [torch.Generator().manual_seed(method.seed) for method in methods]
        self.dropouts = [torch.Generator() for _ in methods]
        adapters: list[Adapters] = []
        for method, dropout in zip(methods, self.dropouts, strict=True):
            torch.manual_seed(method.seed)
            adapters.append(Adapters(data.text.features, data.graph.node_features, self.settings))
            method.adapters_ = adapters[-1]
            dropout.set_state(torch.get_rng_state())
        self.adapters = stacked(adapters)
        text, graph, settings = data.text, data.graph, self.settings
        self.texts = self.adapters.texts
        self.rank_loss = RankLoss(
            lambda rows, columns: 1 - graph.relation[rows, columns],
            len(text.known),
            sample=settings.rank_sample,
            generator=self.generators,
        )
        self.unknown = (~text.known).nonzero()[:, 0]
        if settings.balance:
            frozen = score_in_blocks(text.zero_shot_logits, data.target_features, len(text.known))
            masses = [unknown_mass(block.logits, text.known) for block in frozen]
            self.prior = float(torch.cat(masses).mean())

    def train_round(self, rounds: int, soft_labels: Sequence[Candidates]) -> None:
        """Take the steps of one of ``rounds + 1`` rounds."""
        settings, drawn = self.settings, self.batches(soft_labels)
        optimizer = torch.optim.AdamW(
            self.adapters.parameters(),
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.bank: list[Tensor] = []

        def terms() -> Terms:
            values = self.terms(next(drawn))
            return {name: (getattr(settings, name), value) for name, value in values.items()}

        minimize(
            self.methods, optimizer, terms, settings.steps, total=(rounds + 1) * settings.steps
        )

    def batches(self, soft_labels: Sequence[Candidates]) -> Iterator[Batch]:
        """Yield batches without end."""
        data, size = self.data, self.settings.batch_size
        domains = data.source_features, data.target_features
        sizes = [min(size, len(features)) for features in domains]
        if sizes == [*map(len, domains)] and not self.settings.diversity:
            # Always all images, in an order that changes no mean; of the bank, it would.
            source_rows, target_rows = map(torch.arange, sizes)
            yield from repeat(self.batch(source_rows, target_rows, soft_labels))
        rows = [
            [batches(len(features), size, generator) for generator in self.generators]
            for features in domains
        ]
        # Filled anew in each step: fresh memory would cost several times as much.
        images = data.text.features.new_empty(len(self.methods), sum(sizes), self.texts.shape[1])
        while True:
            source_rows, target_rows = (torch.stack([*map(next, domain)]) for domain in rows)
            yield self.batch(source_rows, target_rows, soft_labels, images)

    def batch(
        self,
        source_rows: Tensor,
        target_rows: Tensor,
        soft_labels: Sequence[Candidates],
        images: Tensor | None = None,
    ) -> Batch:
        """Return the batch of rows ``(n_images,)`` or ``(n_fits, n_images)``."""
        settings, data, text = self.settings, self.data, self.data.text
        parts = data.source_features[source_rows], data.target_features[target_rows]
        images = widened(torch.cat(parts, dim=-2, out=images))
        labels = data.source_labels[source_rows]
        frozen = frozen_unknown = wanted = None
        if settings.retention:
            frozen = text.zero_shot_logits(data.target(target_rows))
        if settings.unknown_retention and len(self.unknown):
            frozen_unknown = text.logit_scale * (images @ text.features[self.unknown].T)
        if soft_labels:
            of_each = target_rows.expand(len(soft_labels), -1)
            pairs = zip(soft_labels, of_each, strict=True)
            wanted = torch.stack([labels.dense(rows) for labels, rows in pairs])
        sizes = [source_rows.shape[-1], target_rows.shape[-1]]
        return Batch(images, sizes, labels, frozen, frozen_unknown, wanted)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss terms that are switched on, by their weights' names; ``(n_fits,)``."""
        settings, text, graph, unknown = (
            self.settings,
            self.data.text,
            self.data.graph,
            self.unknown,
        )
        prototypes = self.adapters.classes(text.features, graph, self.dropouts)
        # Both domains at once: half as many operations, which are small ones.
        cosines = self.adapters.image.cosines(batch.images, self.texts, prototypes)
        scored = text.logit_scale * cosines
        logits, target_logits = scored.split(batch.sizes, dim=1)
        terms: dict[str, Tensor] = {}
        if settings.source:
            terms["source"] = known_cross_entropy(logits, batch.labels, text.known)
        if settings.relation:
            terms["relation"] = relation_distillation(
                logits, batch.labels, graph.relation, settings.relation_temperature
            )
        if settings.rank:
            terms["rank"] = self.rank_loss(partial(unit_distances, prototypes))
        if batch.frozen is not None:
            terms["retention"] = retention_loss(target_logits, batch.frozen)
        if batch.frozen_unknown is not None:
            lost = divergences(scored.index_select(2, unknown), batch.frozen_unknown)
            terms["unknown_retention"] = sum(
                part.mean(dim=1) for part in lost.split(batch.sizes, dim=1)
            )
        if settings.anchor:
            terms["anchor"] = anchor_loss(prototypes, text.features)
        if batch.soft_labels is not None:
            terms["self_training"] = soft_label_loss(target_logits, batch.soft_labels)
        if settings.entropy:
            terms["entropy"] = entropy_loss(target_logits)
        if settings.diversity:
            # Over this batch and the last ones, `bank_size` images in all.
            bank = torch.cat([target_logits, *self.bank], dim=1)
            terms["diversity"] = diversity_loss(bank)
            room = max(0, settings.bank_size - batch.sizes[1])
            self.bank = [bank.detach()[:, :room]]
        if settings.balance and len(unknown):
            terms["balance"] = balance_loss(unknown_mass(target_logits, text.known), self.prior)
        return terms
