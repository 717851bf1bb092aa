"""SRE-CLIP as rebuilt here: relation structure, alignment retention, attention adapter."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sreclip.methods.adapters import ClassAdapter, ImageAdapter
from sreclip.methods.base import FitData, Method, Progress, Terms, batches
from sreclip.methods.blocks import BLOCK_VALUES, collect, score_in_blocks, widened
from sreclip.methods.calibration import unknown_bias
from sreclip.methods.losses import (
    MAX_DISTANCE_MATRIX,
    RankLoss,
    anchor_loss,
    balance_loss,
    distance_places,
    diversity_loss,
    entropy_loss,
    known_cross_entropy,
    relation_distillation,
    retention_loss,
    sampled_rank_loss,
    soft_label_loss,
)
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.neighbours import neighbour_search
from sreclip.refinement.transclip import transclip

CHUNK = 4096


@dataclass(frozen=True)
class Step:
    """What the loss terms of one optimisation step are made of."""

    source_logits: Tensor
    source_zero_shot: Tensor
    source_labels: Tensor
    target_logits: Tensor
    target_zero_shot: Tensor
    target_soft_labels: Tensor | None
    prototypes: Tensor


class SreClip(Method):
    """SRE-CLIP, rebuilt so that it starts as zero-shot CLIP and cannot fall far below it.

    The three ideas are the paper's (arXiv 2510.21808); the architecture, the softmax over known
    classes, the retention term and the self-training are ours. See ``docs/methods.md`` for the
    formulas and ``SreClipSettings`` for every parameter.
    """

    title = "SRE-CLIP"
    citation = "arXiv 2510.21808, rebuilt"
    transductive = True
    baseline = False

    def __init__(
        self,
        image_scale: float = 0.5,
        class_scale: float = 0.5,
        width: int = 64,
        gcn_width: int = 128,
        dropout: float = 0.3,
        attention: bool = True,
        source: float = 1.0,
        relation: float = 0.1,
        relation_temperature: float = 0.1,
        rank: float = 1.0,
        rank_pairs: int = 4096,
        retention: float = 0.0,
        unknown_retention: float = 3.0,
        calibration: bool = True,
        class_prior: bool = True,
        anchor: float = 1.0,
        self_training: float = 1.0,
        rounds: int = 2,
        entropy: float = 0.0,
        diversity: float = 0.0,
        bank_size: int = 768,
        balance: float = 0.0,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        steps: int = 200,
        batch_size: int = 256,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.image_scale = image_scale
        self.class_scale = class_scale
        self.width = width
        self.gcn_width = gcn_width
        self.dropout = dropout
        self.attention = attention
        self.source = source
        self.relation = relation
        self.relation_temperature = relation_temperature
        self.rank = rank
        self.rank_pairs = rank_pairs
        self.retention = retention
        self.unknown_retention = unknown_retention
        self.calibration = calibration
        self.class_prior = class_prior
        self.anchor = anchor
        self.self_training = self_training
        self.rounds = rounds
        self.entropy = entropy
        self.diversity = diversity
        self.bank_size = bank_size
        self.balance = balance
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = steps
        self.batch_size = batch_size
        self.seed = seed
        self.progress = progress

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        text, graph = data.text, data.graph
        dim, device = text.features.shape[1], text.features.device
        self.image_adapter_ = ImageAdapter(dim, self.width, self.image_scale, self.attention)
        self.class_adapter_ = ClassAdapter(dim, self.gcn_width, self.class_scale, self.dropout)
        self._modules = nn.ModuleList([self.image_adapter_, self.class_adapter_]).to(device)
        self._graph, self._generator = graph, generator
        if self.rank and len(text.known) ** 2 <= MAX_DISTANCE_MATRIX:
            self._rank_of_all = RankLoss(
                1 - graph.relation, sample=self.rank_pairs, generator=generator
            )
        self._texts = torch.cat([text.features, graph.node_features])
        self.bias_ = torch.zeros(len(text.known), device=device)
        target = data.target_features
        frozen = score_in_blocks(text.zero_shot_logits, target, len(text.known))
        self._zero_shot_margin = collect(frozen, len(target), text.known).margin
        self._prior = self._unknown_mass(target) if self.balance else 0.0
        rounds = self.rounds if self.self_training else 0
        soft_labels: Candidates | None = None
        for number in range(rounds + 1):
            self._train_round(number, rounds, data, soft_labels)
            if number < rounds:
                self._finish(data)
                del soft_labels  # before the new ones are made
                soft_labels = self._soft_labels(target)

    def _unknown_mass(self, features: Tensor) -> float:
        """Mean probability that the frozen model gives to unknown classes together."""
        masses = [
            self.text_.zero_shot_logits(widened(chunk))
            .softmax(dim=1)[:, ~self.text_.known]
            .sum(dim=1)
            for chunk in features.split(self.batch_size)
        ]
        return float(torch.cat(masses).mean())

    @torch.no_grad()
    def _finish(self, data: FitData) -> None:
        """Settle class vectors and bias."""
        self._modules.eval()
        self.prototypes_ = self.class_adapter_(self.text_.features, self._graph)
        known = self.text_.known
        self.bias_ = torch.zeros(len(known), device=known.device)
        if self.calibration:
            target = data.target_features
            margin = collect(self.logit_blocks(target), len(target), known).margin
            least = float((~known).float().mean()) if self.class_prior else 0.0
            bias = unknown_bias(margin, self._zero_shot_margin, least)
            self.bias_ = bias * (~known).to(self.prototypes_.dtype)

    def _soft_labels(self, target_features: Tensor) -> Candidates:
        """Refined predictions of the target, for the next round."""
        blocks = self.logit_blocks(target_features)
        predictions = Candidates.from_blocks(blocks, len(target_features), len(self.text_.known))
        search = neighbour_search(self.neighbours)
        return transclip(self.image_features(target_features), predictions, search)

    def _train_round(
        self, number: int, rounds: int, data: FitData, soft_labels: Candidates | None
    ) -> None:
        self._modules.train()
        optimizer = torch.optim.AdamW(
            self._modules.parameters(), lr=self.lr, weight_decay=self.weight_decay
        )
        source_rows = batches(len(data.source_features), self.batch_size, self._generator)
        target_rows = batches(len(data.target_features), self.batch_size, self._generator)
        self._bank: list[Tensor] = []

        def terms() -> Terms:
            source, target = next(source_rows), next(target_rows)
            source_features = data.source(source)
            target_features = data.target(target)
            prototypes = self.class_adapter_(self.text_.features, self._graph)
            values = self._terms(
                Step(
                    source_logits=self._score(source_features, prototypes),
                    source_zero_shot=self.text_.zero_shot_logits(source_features),
                    source_labels=data.source_labels[source],
                    target_logits=self._score(target_features, prototypes),
                    target_zero_shot=self.text_.zero_shot_logits(target_features),
                    target_soft_labels=None if soft_labels is None else soft_labels.dense(target),
                    prototypes=prototypes,
                )
            )
            return {name: (getattr(self, name), value) for name, value in values.items()}

        total = (rounds + 1) * self.steps
        self._minimise(optimizer, terms, self.steps, done=number * self.steps, total=total)

    def _terms(self, step: Step) -> dict[str, Tensor]:
        """Loss terms that are switched on, by the names of their weights."""
        known, unknown = self.text_.known, ~self.text_.known
        terms: dict[str, Tensor] = {}
        if self.source:
            terms["source"] = known_cross_entropy(step.source_logits, step.source_labels, known)
        if self.relation:
            terms["relation"] = relation_distillation(
                step.source_logits,
                step.source_labels,
                self._graph.relation,
                self.relation_temperature,
            )
        if self.rank:
            terms["rank"] = self._rank_loss(step.prototypes)
        if self.retention:
            terms["retention"] = retention_loss(step.target_logits, step.target_zero_shot)
        if self.unknown_retention and unknown.any():
            terms["unknown_retention"] = retention_loss(
                step.target_logits[:, unknown], step.target_zero_shot[:, unknown]
            ) + retention_loss(step.source_logits[:, unknown], step.source_zero_shot[:, unknown])
        if self.anchor:
            terms["anchor"] = anchor_loss(step.prototypes, self.text_.features)
        if self.self_training and step.target_soft_labels is not None:
            terms["self_training"] = soft_label_loss(
                step.target_logits + self.bias_, step.target_soft_labels
            )
        if self.entropy:
            terms["entropy"] = entropy_loss(step.target_logits)
        if self.diversity:
            terms["diversity"] = self._bank_diversity(step.target_logits)
        if self.balance and unknown.any():
            mass = step.target_logits.softmax(dim=1)[:, unknown].sum(dim=1)
            terms["balance"] = balance_loss(mass, self._prior)
        return terms

    def _rank_loss(self, prototypes: Tensor) -> Tensor:
        relation, n_classes = self._graph.relation, len(prototypes)
        if n_classes**2 <= MAX_DISTANCE_MATRIX:
            return self._rank_of_all(_distances(prototypes @ prototypes.T))

        def drawn_prototypes(numbers: Tensor) -> Tensor:
            rows, columns = distance_places(numbers, n_classes)
            return _distances((prototypes[rows] * prototypes[columns]).sum(dim=1))

        def drawn_relation(numbers: Tensor) -> Tensor:
            return 1 - relation[distance_places(numbers, n_classes)]

        n_distances = n_classes * (n_classes - 1) // 2
        return sampled_rank_loss(
            drawn_prototypes,
            drawn_relation,
            n_distances,
            sample=self.rank_pairs,
            generator=self._generator,
        )

    def _bank_diversity(self, target_logits: Tensor) -> Tensor:
        """Diversity over this batch and the last ones, ``bank_size`` images in all."""
        room = max(0, self.bank_size - len(target_logits))
        value = diversity_loss(torch.cat([target_logits, *self._bank]))
        self._bank = [torch.cat([target_logits.detach(), *self._bank])[:room]]
        return value

    def image_features(self, features: Tensor) -> Tensor:
        """``v``: adapted image features."""
        images = self._texts.new_empty(features.shape)
        # The attention holds a number for each image and text.
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
        return self._score(features, self.prototypes_) + self.bias_

    def state(self) -> dict[str, Tensor]:
        """Image adapter, adapted class vectors and the texts that the attention runs over."""
        adapter = {
            f"image_adapter.{name}": value
            for name, value in self.image_adapter_.state_dict().items()
        }
        return {
            **adapter,
            "prototypes": self.prototypes_,
            "texts": self._texts,
            "bias": self.bias_,
        }


def _distances(cosines: Tensor) -> Tensor:
    """Euclidean distances of unit vectors with these cosines."""
    return (2 - 2 * cosines).clamp_min(1e-12).sqrt()
