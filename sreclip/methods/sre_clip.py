"""SRE-CLIP as rebuilt here: relation structure, alignment retention, attention adapter."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from sreclip.config.methods import SreClipSettings
from sreclip.methods.base import Method, Terms
from sreclip.methods.data import FitData, batches
from sreclip.methods.layers import ClassAdapter, ImageAdapter
from sreclip.methods.logits import BLOCK_VALUES, score_in_blocks, widened
from sreclip.methods.losses import (
    RankLoss,
    anchor_loss,
    balance_loss,
    diversity_loss,
    entropy_loss,
    known_cross_entropy,
    relation_distillation,
    retention_loss,
    soft_label_loss,
    unit_distances,
    unknown_mass,
)
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.neighbours import neighbour_search
from sreclip.refinement.transclip import transclip

CHUNK = 4096


class SreClip(Method):
    """SRE-CLIP, rebuilt so that it starts as zero-shot CLIP and cannot fall far below it.

    Logits are ``s v.e_c``, v from `ImageAdapter` and e_c from `ClassAdapter`, plus the calibration.
    The loss is the weighted sum of the terms of `_terms`, by the names of their weights. After each
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

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        settings, text, graph = self.settings, data.text, data.graph
        dim, device = text.features.shape[1], text.features.device
        width, gcn_width = settings.width, settings.gcn_width
        self.image_adapter_ = ImageAdapter(dim, width, settings.image_scale, settings.attention)
        self.class_adapter_ = ClassAdapter(dim, gcn_width, settings.class_scale, settings.dropout)
        self._modules = nn.ModuleList([self.image_adapter_, self.class_adapter_]).to(device)
        self._graph, self._generator = graph, generator
        self._rank_loss = RankLoss(
            lambda rows, columns: 1 - graph.relation[rows, columns],
            len(text.known),
            sample=settings.rank_sample,
            generator=generator,
        )
        self._texts = torch.cat([text.features, graph.node_features])
        self._unknown = (~text.known).nonzero()[:, 0]
        self._unknown_text = text.features[self._unknown]
        if settings.balance:
            frozen = score_in_blocks(text.zero_shot_logits, data.target_features, len(text.known))
            masses = [unknown_mass(block.logits, text.known) for block in frozen]
            self._prior = float(torch.cat(masses).mean())
        rounds = settings.rounds if settings.self_training else 0
        soft_labels: Candidates | None = None
        for number in range(rounds + 1):
            self._train_round(rounds, data, soft_labels)
            if number < rounds:
                self._settle(data)
                del soft_labels  # before the new ones are made
                soft_labels = self._soft_labels(data.target_features)

    @torch.no_grad()
    def _finish(self, data: FitData) -> None:
        self._modules.eval()
        self.prototypes_ = self.class_adapter_(self.text_.features, self._graph)

    def _soft_labels(self, target_features: Tensor) -> Candidates:
        """Return refined predictions of the target, for the next round."""
        blocks = self.logit_blocks(target_features)
        predictions = Candidates.from_blocks(blocks, len(target_features), len(self.text_.known))
        search = neighbour_search(self.settings.neighbours)
        return transclip(self.image_features(target_features), predictions, search)[0]

    def _train_round(self, rounds: int, data: FitData, soft_labels: Candidates | None) -> None:
        settings = self.settings
        self._modules.train()
        optimizer = torch.optim.AdamW(
            self._modules.parameters(),
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        source_rows = batches(len(data.source_features), settings.batch_size, self._generator)
        target_rows = batches(len(data.target_features), settings.batch_size, self._generator)
        self._bank: list[Tensor] = []

        def terms() -> Terms:
            values = self._terms(data, next(source_rows), next(target_rows), soft_labels)
            return {name: (getattr(settings, name), value) for name, value in values.items()}

        self._minimize(optimizer, terms, settings.steps, total=(rounds + 1) * settings.steps)

    def _terms(
        self,
        data: FitData,
        source_rows: Tensor,
        target_rows: Tensor,
        soft_labels: Candidates | None,
    ) -> dict[str, Tensor]:
        """Return the loss terms that are switched on, by the names of their weights."""
        settings, text, unknown = self.settings, data.text, self._unknown
        images = torch.cat([data.source(source_rows), data.target(target_rows)])
        sizes = [len(source_rows), len(target_rows)]
        labels = data.source_labels[source_rows]
        prototypes = self.class_adapter_(text.features, data.graph)
        # Both domains at once: half as many operations, which are small ones.
        scored = self._score(images, prototypes)
        logits, target_logits = scored.split(sizes)
        terms: dict[str, Tensor] = {}
        if settings.source:
            terms["source"] = known_cross_entropy(logits, labels, text.known)
        if settings.relation:
            terms["relation"] = relation_distillation(
                logits, labels, data.graph.relation, settings.relation_temperature
            )
        if settings.rank:
            terms["rank"] = self._rank_loss(partial(unit_distances, prototypes))
        if settings.retention:
            frozen = text.zero_shot_logits(images[len(source_rows) :])
            terms["retention"] = retention_loss(target_logits, frozen)
        if settings.unknown_retention and len(unknown):
            adapted = scored.index_select(1, unknown).split(sizes)
            frozen_unknown = (text.logit_scale * images @ self._unknown_text.T).split(sizes)
            terms["unknown_retention"] = torch.stack(
                [retention_loss(*both) for both in zip(adapted, frozen_unknown, strict=True)]
            ).sum()
        if settings.anchor:
            terms["anchor"] = anchor_loss(prototypes, text.features)
        if settings.self_training and soft_labels is not None:
            wanted = soft_labels.dense(target_rows)
            terms["self_training"] = soft_label_loss(target_logits + self.bias_, wanted)
        if settings.entropy:
            terms["entropy"] = entropy_loss(target_logits)
        if settings.diversity:
            # Over this batch and the last ones, `bank_size` images in all.
            bank = torch.cat([target_logits, *self._bank])
            terms["diversity"] = diversity_loss(bank)
            room = max(0, settings.bank_size - len(target_logits))
            self._bank = [bank.detach()[:room]]
        if settings.balance and len(unknown):
            terms["balance"] = balance_loss(unknown_mass(target_logits, text.known), self._prior)
        return terms

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

    def _score(self, features: Tensor, prototypes: Tensor) -> Tensor:
        adapted = self.image_adapter_(features, self._texts)
        return self.text_.logit_scale * adapted @ prototypes.T

    def _logits(self, features: Tensor) -> Tensor:
        return self._score(features, self.prototypes_)

    def _state(self) -> dict[str, Tensor]:
        adapter = self.image_adapter_.state_dict(prefix="image_adapter.")
        return {**adapter, "prototypes": self.prototypes_, "texts": self._texts}
