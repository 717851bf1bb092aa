"""SRE-CLIP as rebuilt here: relation structure, alignment retention, attention adapter."""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.calibration import unknown_bias
from sreclip.losses import (
    anchor_loss,
    balance_loss,
    diversity_loss,
    entropy_loss,
    known_cross_entropy,
    rank_loss,
    relation_distillation,
    retention_loss,
    soft_label_loss,
)
from sreclip.methods.base import (
    ClassGraph,
    ClassText,
    Method,
    Progress,
    batches,
    check_inputs,
)
from sreclip.refinement.transclip import transclip


class ImageAdapter(nn.Module):
    """``norm(f + a_v g(f))``: attention over class and node texts, plus a bottleneck MLP.

    Each image is a query of its own, so that a prediction never depends on what else is in the
    batch. Output layers start at zero: before training the adapter is the identity.
    """

    def __init__(self, dim: int, width: int, scale: float, attention: bool) -> None:
        super().__init__()
        self.scale = scale
        self.attention = attention
        self.query = nn.Linear(dim, width, bias=False)
        self.key = nn.Linear(dim, width, bias=False)
        self.value = nn.Linear(dim, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(dim, width), nn.GELU())
        self.out = nn.Linear(2 * width if attention else width, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor, texts: Tensor) -> Tensor:
        """Adapt ``(n_images, dim)`` with the help of ``texts`` ``(n_texts, dim)``."""
        hidden = self.mlp(features * features.shape[1] ** 0.5)
        if self.attention:
            query, key = self.query(features), self.key(texts)
            weights = F.softmax(query @ key.T * key.shape[1] ** 0.5, dim=1)
            hidden = torch.cat([hidden, weights @ self.value(texts)], dim=1)
        return F.normalize(features + self.scale * self.out(hidden), dim=1)


class ClassAdapter(nn.Module):
    """``e_c = norm(w_c + a_e GCN(A_hat, node vectors)_c)`` with two graph convolutions.

    The last layer starts at zero: before training the class vectors are the frozen ones.
    """

    def __init__(self, dim: int, width: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.scale = scale
        self.dropout = dropout
        self.first = nn.Linear(dim, width)
        self.second = nn.Linear(width, dim)
        nn.init.xavier_uniform_(self.first.weight)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, text: Tensor, graph: ClassGraph) -> Tensor:
        """Adapt class vectors ``(n_classes, dim)``."""
        hidden = F.dropout(graph.node_features, self.dropout, self.training)
        hidden = F.leaky_relu(torch.sparse.mm(graph.adjacency, self.first(hidden)), 0.2)
        hidden = F.dropout(hidden, self.dropout, self.training)
        change = torch.sparse.mm(graph.adjacency, self.second(hidden))
        return F.normalize(text + self.scale * change[graph.class_nodes], dim=1)


class SreClip(Method):
    """SRE-CLIP, rebuilt so that it starts as zero-shot CLIP and cannot fall far below it.

    The three ideas are the paper's (arXiv 2510.21808); the architecture, the softmax over known
    classes, the retention term and the self-training are ours. See ``docs/methods.md`` for the
    formulas and ``SreClipSettings`` for every parameter.
    """

    title = "SRE-CLIP"
    citation = "arXiv 2510.21808, rebuilt"
    transductive = True

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

    def fit(
        self,
        source_features: Tensor,
        source_labels: Tensor,
        target_features: Tensor,
        text: ClassText,
        graph: ClassGraph,
    ) -> Self:
        """Train on the source, then in rounds on refined soft labels of the target."""
        check_inputs(source_features, source_labels, target_features, text, graph)
        self.history_ = []
        self.text_, self.graph_ = text, graph
        torch.manual_seed(self.seed)
        self._generator = torch.Generator().manual_seed(self.seed)
        dim, device = text.features.shape[1], text.features.device
        self.image_adapter_ = ImageAdapter(dim, self.width, self.image_scale, self.attention)
        self.class_adapter_ = ClassAdapter(dim, self.gcn_width, self.class_scale, self.dropout)
        self._modules = nn.ModuleList([self.image_adapter_, self.class_adapter_]).to(device)
        self.zero_shot_ = text.zero_shot_logits(target_features)
        self.prior_ = float(self.zero_shot_.softmax(dim=1)[:, ~text.known].sum(dim=1).mean())
        self._texts = torch.cat([text.features, graph.node_features])
        self._semantic_distances = torch.cdist(text.features, text.features)
        self.bias_ = torch.zeros(len(text.known), device=device)
        rounds = self.rounds if self.self_training else 0
        soft_labels: Tensor | None = None
        for number in range(rounds + 1):
            self._train_round(number, source_features, source_labels, target_features, soft_labels)
            soft_labels = self._calibrate(target_features, refine=number < rounds)
        return self

    @torch.no_grad()
    def _calibrate(self, target_features: Tensor, *, refine: bool) -> Tensor | None:
        """Settle class vectors and bias; with ``refine`` give soft labels for the next round."""
        self._modules.eval()
        self.prototypes_ = self.class_adapter_(self.text_.features, self.graph_)
        self.bias_ = torch.zeros_like(self.bias_)
        adapted = self.image_adapter_(target_features, self._texts)
        logits = self.text_.logit_scale * adapted @ self.prototypes_.T
        if self.calibration:
            bias = unknown_bias(logits, self.zero_shot_, self.text_.known)
            self.bias_ = bias * (~self.text_.known).to(logits.dtype)
        return transclip(adapted, logits + self.bias_).clone() if refine else None

    def _train_round(
        self,
        number: int,
        source_features: Tensor,
        source_labels: Tensor,
        target_features: Tensor,
        soft_labels: Tensor | None,
    ) -> None:
        self._modules.train()
        optimizer = torch.optim.AdamW(
            self._modules.parameters(), lr=self.lr, weight_decay=self.weight_decay
        )
        source_rows = batches(len(source_features), self.batch_size, self._generator)
        target_rows = batches(len(target_features), self.batch_size, self._generator)
        bank: list[Tensor] = []
        first = number * self.steps
        for step in range(first + 1, first + self.steps + 1):
            rows, target = next(source_rows), next(target_rows)
            prototypes = self.class_adapter_(self.text_.features, self.graph_)
            source_logits = self._score(source_features[rows], prototypes)
            target_logits = self._score(target_features[target], prototypes)
            terms = self._terms(
                source_logits,
                source_labels[rows],
                self.text_.zero_shot_logits(source_features[rows]),
                target_logits,
                self.zero_shot_[target],
                prototypes,
                None if soft_labels is None else soft_labels[target],
                bank,
            )
            loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
            self._record(
                step,
                (self.rounds + 1) * self.steps,
                {name: value for name, (_, value) in terms.items()},
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def _terms(
        self,
        source_logits: Tensor,
        source_labels: Tensor,
        source_zero_shot: Tensor,
        target_logits: Tensor,
        zero_shot_logits: Tensor,
        prototypes: Tensor,
        soft_labels: Tensor | None,
        bank: list[Tensor],
    ) -> dict[str, tuple[float, Tensor]]:
        """Weight and value of each loss term that is switched on."""
        known = self.text_.known
        terms: dict[str, tuple[float, Tensor]] = {}
        if self.source:
            value = known_cross_entropy(source_logits, source_labels, known)
            terms["source"] = (self.source, value)
        if self.relation:
            value = relation_distillation(
                source_logits, source_labels, self.graph_.relation, self.relation_temperature
            )
            terms["relation"] = (self.relation, value)
        if self.rank:
            distances = (2 - 2 * prototypes @ prototypes.T).clamp_min(1e-12).sqrt()
            value = rank_loss(
                distances,
                1 - self.graph_.relation,
                sample=self.rank_pairs,
                generator=self._generator,
            )
            terms["rank"] = (self.rank, value)
        if self.retention:
            terms["retention"] = (self.retention, retention_loss(target_logits, zero_shot_logits))
        if self.unknown_retention and (~known).any():
            value = retention_loss(target_logits[:, ~known], zero_shot_logits[:, ~known])
            value = value + retention_loss(source_logits[:, ~known], source_zero_shot[:, ~known])
            terms["unknown_retention"] = (self.unknown_retention, value)
        if self.anchor:
            terms["anchor"] = (self.anchor, anchor_loss(prototypes, self.text_.features))
        if soft_labels is not None and self.self_training:
            value = soft_label_loss(target_logits + self.bias_, soft_labels)
            terms["self_training"] = (self.self_training, value)
        if self.entropy:
            terms["entropy"] = (self.entropy, entropy_loss(target_logits))
        if self.diversity:
            value = diversity_loss(torch.cat([target_logits, *bank]))
            bank.insert(0, target_logits.detach())
            while sum(map(len, bank)) > self.bank_size:
                bank.pop()
            terms["diversity"] = (self.diversity, value)
        if self.balance and (~known).any():
            mass = target_logits.softmax(dim=1)[:, ~known].sum(dim=1)
            terms["balance"] = (self.balance, balance_loss(mass, self.prior_))
        return terms

    def _score(self, features: Tensor, prototypes: Tensor) -> Tensor:
        adapted = self.image_adapter_(features, self._texts)
        return self.text_.logit_scale * adapted @ prototypes.T

    def _logits(self, features: Tensor) -> Tensor:
        self._modules.eval()
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
