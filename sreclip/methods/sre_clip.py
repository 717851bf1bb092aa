"""SRE-CLIP as rebuilt here: relation structure, alignment retention, attention adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Self

import torch
from torch import Tensor

from sreclip.config.methods import SreClipSettings
from sreclip.methods.base import Method, Terms, minimize
from sreclip.methods.data import FitData, batches
from sreclip.methods.layers import ClassAdapter, ImageAdapter
from sreclip.methods.logits import BLOCK_VALUES, score_in_blocks, widened
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
from sreclip.methods.stacked import stacked
from sreclip.refinement.candidates import MOST_CANDIDATES, Candidates
from sreclip.refinement.neighbours import neighbour_search
from sreclip.refinement.transclip import transclip

CHUNK = 4096
# Of all seeds that are fitted as one batch: 128 MB.
MOST_VALUES = 1 << 25


class SreClip(Method):
    """SRE-CLIP, rebuilt so that it starts as zero-shot CLIP and cannot fall far below it.

    Logits are ``s v.e_c``, v from `ImageAdapter` and e_c from `ClassAdapter`, plus the calibration.
    The loss is the weighted sum of `Training.terms`, by the names of their weights. After each
    of ``rounds`` rounds of ``steps`` AdamW steps, TransCLIP on the adapted target features and
    calibrated logits gives the soft labels of the next round's self-training.

    The three ideas (relation structure, alignment retention, attention adapter) are the paper's
    (arXiv 2510.21808); the architecture, the softmax over known classes, the form of the retention,
    the calibration and the self-training are ours. The formulas are in ``docs/methods.md``.
    """

    title = "SRE-CLIP"
    citation = "arXiv 2510.21808, rebuilt"
    transductive = True
    baseline = False
    settings: SreClipSettings

    def at_once(self, data: FitData) -> int:
        """Return how many seeds' activations and soft labels are `MOST_VALUES` at most."""
        settings, (n_classes, dim) = self.settings, data.text.features.shape
        n_nodes = len(data.graph.node_features)
        per_image = 4 * dim + 4 * settings.width + 8 * n_classes + 2 * (n_classes + n_nodes)
        per_node = 2 * dim + 4 * settings.gcn_width
        values = 2 * settings.batch_size * per_image + n_nodes * per_node
        if n_classes > MAX_EXACT_CLASSES:
            values += 4 * settings.rank_sample * dim
        if settings.self_training and settings.rounds:
            values += 2 * len(data.target_features) * min(n_classes, MOST_CANDIDATES)
        return max(1, MOST_VALUES // values)

    @classmethod
    def _fit_all(cls, methods: Sequence[Self], data: FitData) -> None:
        training, settings = Training(methods, data), methods[0].settings
        rounds = settings.rounds if settings.self_training else 0
        soft_labels: list[Candidates] = []
        for number in range(rounds + 1):
            training.train_round(rounds, soft_labels)
            if number < rounds:
                soft_labels.clear()  # before the new ones are made
                for method in methods:
                    method._settle(data)
                    soft_labels.append(method._soft_labels(data.target_features))

    def _build(self, data: FitData) -> None:
        """Make adapters as they are before the first step."""
        settings, text = self.settings, data.text.features
        dim, device = text.shape[1], text.device
        width, gcn_width = settings.width, settings.gcn_width
        image_adapter = ImageAdapter(dim, width, settings.image_scale, settings.attention)
        class_adapter = ClassAdapter(dim, gcn_width, settings.class_scale, settings.dropout)
        self.image_adapter_, self.class_adapter_ = (
            image_adapter.to(device),
            class_adapter.to(device),
        )
        self._texts = torch.cat([text, data.graph.node_features])

    @torch.no_grad()
    def _finish(self, data: FitData) -> None:
        self.prototypes_ = self.class_adapter_(data.text.features, data.graph)

    def _soft_labels(self, target_features: Tensor) -> Candidates:
        """Return refined predictions of the target, for the next round."""
        blocks = self.logit_blocks(target_features)
        predictions = Candidates.from_blocks(blocks, len(target_features), len(self.text_.known))
        search = neighbour_search(self.settings.neighbours)
        return transclip(self.image_features(target_features), predictions, search)[0]

    def image_features(self, features: Tensor) -> Tensor:
        """Return ``v``, the adapted image features."""
        images = self._texts.new_empty(features.shape)
        # The attention holds a number per pair of image and text.
        size = min(CHUNK, max(1, BLOCK_VALUES // len(self._texts)))
        with torch.no_grad():
            for start in range(0, len(features), size):
                part = slice(start, start + size)
                images[part] = self.image_adapter_(widened(features[part]), self._texts)
        return images

    def _logits(self, features: Tensor) -> Tensor:
        cosines = self.image_adapter_.cosines(features, self._texts, self.prototypes_)
        return cosines * self.text_.logit_scale

    def _state(self) -> dict[str, Tensor]:
        adapter = self.image_adapter_.state_dict(prefix="image_adapter.")
        return {**adapter, "prototypes": self.prototypes_, "texts": self._texts}


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


class Training:
    """The steps of fits with different seeds, as one batch.

    Tensors have a first dimension of one entry per fit, and so do the stacked adapters' parameters.
    What is drawn is drawn by each fit's own generators.
    """

    def __init__(self, methods: Sequence[SreClip], data: FitData) -> None:
        self.methods, self.data, self.settings = methods, data, methods[0].settings
        self.generators = [torch.Generator().manual_seed(method.seed) for method in methods]
        self.dropouts = [torch.Generator() for _ in methods]
        for method, dropout in zip(methods, self.dropouts, strict=True):
            torch.manual_seed(method.seed)
            method._build(data)
            dropout.set_state(torch.get_rng_state())
        self.image_adapter = stacked([method.image_adapter_ for method in methods])
        self.class_adapter = stacked([method.class_adapter_ for method in methods])
        text, graph, settings = data.text, data.graph, self.settings
        self.texts = methods[0]._texts
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
            [*self.image_adapter.parameters(), *self.class_adapter.parameters()],
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.bias = torch.stack([method.bias_ for method in self.methods]).unsqueeze(1)
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
        prototypes = self.class_adapter(text.features, graph, self.dropouts)
        # Both domains at once: half as many operations, which are small ones.
        cosines = self.image_adapter.cosines(batch.images, self.texts, prototypes)
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
            terms["self_training"] = soft_label_loss(target_logits + self.bias, batch.soft_labels)
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
