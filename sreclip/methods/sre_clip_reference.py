"""SRE-CLIP as its authors' published code has it, term by term."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.methods.base import ClassGraph, ClassText, FitData, Method, Progress, Terms, batches
from sreclip.methods.blocks import Block, widened
from sreclip.methods.losses import (
    MAX_DISTANCE_MATRIX,
    RankLoss,
    balance_loss,
    distance_places,
    diversity_loss,
    entropy_loss,
    pair_distances,
    relation_loss,
    sampled_rank_loss,
    self_distances,
)

EVALUATION_SEED = 0


class BatchAttentionAdapter(nn.Module):
    """``Z = softmax(Q K^T / sqrt(out_dim)) V + V``, the attention running over the batch's images.

    An image's output so depends on what else is in the batch.
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(in_dim, out_dim)
        self.key = nn.Linear(in_dim, out_dim)
        self.value = nn.Linear(in_dim, out_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(..., n_images, in_dim)`` to ``(..., n_images, out_dim)``, not normalised.

        Each of several batches is attended over by itself.
        """
        query, key, value = self.query(features), self.key(features), self.value(features)
        weights = F.softmax(query @ key.mT / math.sqrt(query.shape[-1]), dim=-1)
        return weights @ value + value


class GraphConvolution(nn.Module):
    """``A_hat drop(X) W + b``: Xavier-uniform weight ``(in_dim, out_dim)``, bias zero at first."""

    def __init__(self, in_dim: int, out_dim: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = dropout
        self.weight = nn.Parameter(torch.empty(in_dim, out_dim))
        self.bias = nn.Parameter(torch.zeros(out_dim))
        nn.init.xavier_uniform_(self.weight)

    def _dropped(self, nodes: Tensor) -> Tensor:
        return dropout(nodes, self.dropout) if self.training else nodes

    def project(self, nodes: Tensor) -> Tensor:
        """``drop(X) W``, ``(n_nodes, out_dim)``."""
        return self._dropped(nodes) @ self.weight

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Map ``(n_nodes, in_dim)`` to ``(n_nodes, out_dim)``; ``adjacency`` is sparse."""
        return sparse_product(adjacency, self.project(nodes)) + self.bias

    def rows(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Those rows of what `forward` gives whose rows of the ``adjacency`` these are.

        The sparse product comes first, so that the dense one has no more rows than are wanted.
        """
        return sparse_product(adjacency, self._dropped(nodes)) @ self.weight + self.bias


def dropout(values: Tensor, p: float) -> Tensor:
    """Zero each entry with chance ``p``, in steps of 2**-16, and divide the others by ``1 - p``.

    As torch's own, but from 16 random bits an entry, and as a product: on a CPU, torch draws a
    Bernoulli number for each, and fills what a mask says one by one; each took a tenth of a step.
    """
    if p == 0:
        return values
    words = values.new_empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[: values.numel()].view(values.shape)
    kept = (bits >= round(p * 2**16) - 2**15).to(values.dtype)
    return values * kept.mul_(1 / (1 - p))


def sparse_product(adjacency: Tensor, nodes: Tensor) -> Tensor:
    """``A X`` of a sparse A, outside autocast, whose shorter numbers its gradient does not take."""
    with torch.autocast(nodes.device.type, enabled=False):
        return torch.sparse.mm(adjacency, nodes.to(adjacency.dtype))


class PrototypeGcn(nn.Module):
    """Unit-norm class rows of ``GC2(LeakyReLU_0.2(GC1(node vectors)))``.

    Of the hidden rows only those are worked out that a class row takes in.
    """

    def __init__(self, in_dim: int, width: int, out_dim: int, dropout: float) -> None:
        super().__init__()
        self.first = GraphConvolution(in_dim, width, dropout)
        self.second = GraphConvolution(width, out_dim, dropout)

    def forward(self, graph: ClassGraph) -> Tensor:
        """Prototypes ``e_c``, ``(n_classes, out_dim)``."""
        hidden = F.leaky_relu(self.first.rows(graph.node_features, graph.near_adjacency), 0.2)
        return F.normalize(self.second.rows(hidden, graph.class_adjacency), dim=1)


def rate_factor(step: int, warmup_steps: int, decay: float, decay_power: float) -> float:
    """``(1 + decay (step - warmup_steps))^-decay_power`` after the warm-up, 1 before.

    ``step`` counts from 0.
    """
    return (1 + decay * max(0, step - warmup_steps)) ** -decay_power


class FeatureBank:
    """The last ``size`` target outputs of the adapter, in any order, without gradient."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.features: Tensor | None = None
        self._oldest = 0

    def add(self, features: Tensor) -> bool:
        """Put a batch in; True when the bank was full already."""
        new = features.detach()[-self.size :]
        if self.features is None:
            self.features = new.clone()
            return False
        if len(self.features) < self.size:
            self.features = torch.cat([self.features, new])[-self.size :]
            return False
        places = (self._oldest + torch.arange(len(new), device=new.device)) % self.size
        self.features[places] = new
        self._oldest = (self._oldest + len(new)) % self.size
        return True


class SreClipReference(Method):
    """SRE-CLIP after its authors' published code (arXiv 2510.21808).

    Logits are ``v.e_c / temperature``: v the normalised output of `BatchAttentionAdapter`, e_c the
    prototypes of a two-layer GCN on the relation graph, both from a random start. For the first
    ``warmup_steps`` the loss is the source loss, ``CE + rank * rank loss + relation * relation
    loss``, with the cross-entropy over all classes; then ``source`` times that plus the target
    loss ``entropy * H(p) - diversity * H(mean p over the bank) + balance * (u + c^2 / u)``. The
    entropy takes the prototypes as constants; of the other two, which start once the bank is full,
    the diversity reaches the prototypes alone and the balance both sides.

    Deviations: cached features; no image augmentation; the rank loss compares the distances that
    it was meant to compare unless ``rank_pairs`` is ``as_coded``; the node vectors are the
    backbone's own text vectors; targets pass through the adapter in the warm-up only where the
    bank needs them; without an unknown class there is no balance term. The authors evaluate
    class-sorted batches, which tells the adapter about labels, and each metric at its best step on
    test labels. Here `logits` cuts its images into mixed batches, shuffled with a fixed seed, and
    the last step counts. A prediction still depends on the other images given.

    Every parameter is described in ``SreClipReferenceSettings``; a weight of 0 switches a term
    off.
    """

    title = "SRE-CLIP (reference)"
    citation = "Yu et al., arXiv 2510.21808, after the authors' code"
    transductive = True
    baseline = False
    batch_dependent = True

    def __init__(
        self,
        width: int = 1024,
        gcn_width: int = 1024,
        dropout: float = 0.5,
        temperature: float = 0.05,
        rank: float = 100.0,
        rank_pairs: Literal["as_intended", "as_coded"] = "as_intended",
        rank_sample: int = 4096,
        relation: float = 0.01,
        source: float = 1.5,
        entropy: float = 3.0,
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
        warmup_steps: int = 600,
        steps: int = 3000,
        batch_size: int = 256,
        precision: Literal["float32", "bfloat16"] = "float32",
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.width = width
        self.gcn_width = gcn_width
        self.dropout = dropout
        self.temperature = temperature
        self.rank = rank
        self.rank_pairs = rank_pairs
        self.rank_sample = rank_sample
        self.relation = relation
        self.source = source
        self.entropy = entropy
        self.diversity = diversity
        self.bank_size = bank_size
        self.balance = balance
        self.c = c
        self.adapter_lr = adapter_lr
        self.gcn_lr = gcn_lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.decay = decay
        self.decay_power = decay_power
        self.warmup_steps = warmup_steps
        self.steps = steps
        self.batch_size = batch_size
        self.precision = precision
        self.seed = seed
        self.progress = progress

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        graph = data.graph
        self._build(data)
        self._class_vectors = graph.node_features[graph.class_nodes]
        if len(self._class_vectors) ** 2 <= MAX_DISTANCE_MATRIX:
            self._rank_of_all = RankLoss(
                torch.cdist(self._class_vectors, self._class_vectors),
                self.rank_pairs,
                sample=self.rank_sample,
                generator=generator,
            )
        self._generator = generator
        optimizer, schedule = self._optimizer()
        source_rows = batches(len(data.source_features), self.batch_size, generator)
        target_rows = batches(len(data.target_features), self.batch_size, generator)
        bank = FeatureBank(self.bank_size)
        fill_steps = math.ceil(self.bank_size / min(self.batch_size, len(data.target_features)))
        steps = iter(range(self.steps))

        def terms() -> Terms:
            step, rows = next(steps), next(source_rows)
            labels, prototypes = data.source_labels[rows], self._class_side(graph)
            if step < self.warmup_steps:
                if step >= self.warmup_steps - fill_steps:
                    with torch.no_grad():
                        bank.add(self._image_side(data.target(next(target_rows))))
                return self._source_terms(self._image_side(data.source(rows)), labels, prototypes)
            source, target = self._image_sides(data.source(rows), data.target(next(target_rows)))
            weighted = {
                name: (self.source * weight, term)
                for name, (weight, term) in self._source_terms(source, labels, prototypes).items()
            }
            return weighted | self._target_terms(target, prototypes, bank)

        self._minimise(optimizer, terms, self.steps, schedule=schedule, done=len(self.history_))

    def _build(self, data: FitData) -> None:
        """Set adapter and GCN up as they are before the first step."""
        dim, device = data.text.features.shape[1], data.text.features.device
        node_dim = data.graph.node_features.shape[1]
        self.adapter_: nn.Module = BatchAttentionAdapter(dim, self.width).to(device)
        self.gcn_ = PrototypeGcn(node_dim, self.gcn_width, self.width, self.dropout).to(device)

    @torch.no_grad()
    def _finish(self, data: FitData) -> None:
        self.gcn_.eval()
        self.prototypes_ = self._class_side(data.graph)

    def _optimizer(self) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
        optimizer = torch.optim.SGD(
            [
                {"params": self.adapter_.parameters(), "lr": self.adapter_lr},
                {"params": self.gcn_.parameters(), "lr": self.gcn_lr},
            ],
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.momentum > 0,
            fused=self._class_vectors.device.type in ("cpu", "cuda"),
        )
        return optimizer, torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: rate_factor(step, self.warmup_steps, self.decay, self.decay_power),
        )

    def _autocast(self, device: torch.device) -> torch.autocast:
        half = self.precision == "bfloat16"
        return torch.autocast(device.type, torch.bfloat16, enabled=half)

    def _class_side(self, graph: ClassGraph) -> Tensor:
        """Prototypes, ``(n_classes, width)``."""
        with self._autocast(graph.node_features.device):
            return self.gcn_(graph)

    def _image_side(self, features: Tensor) -> Tensor:
        """``v / temperature`` of a batch, or of several, ``(..., n_images, width)``."""
        with self._autocast(features.device):
            images = self.adapter_(features)
        return F.normalize(images.to(features.dtype), dim=-1) / self.temperature

    def _image_sides(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """``v / temperature`` of a batch of each domain; if they are equally large, in one go."""
        if source.shape != target.shape:
            return self._image_side(source), self._image_side(target)
        of_source, of_target = self._image_side(torch.stack([source, target])).unbind()
        return of_source, of_target

    def _source_terms(
        self, images: Tensor, labels: Tensor, prototypes: Tensor
    ) -> dict[str, tuple[float, Tensor]]:
        logits = images @ prototypes.T
        terms = {"cross_entropy": (1.0, F.cross_entropy(logits, labels))}
        if self.rank:
            terms["rank"] = (self.rank, self._rank_loss(prototypes))
        if self.relation:
            terms["relation"] = (self.relation, relation_loss(logits, prototypes))
        return terms

    def _rank_loss(self, prototypes: Tensor) -> Tensor:
        n_classes = len(prototypes)
        if n_classes**2 <= MAX_DISTANCE_MATRIX:
            return self._rank_of_all(torch.cdist(prototypes, prototypes))

        as_coded = self.rank_pairs == "as_coded"

        def drawn(vectors: Tensor, numbers: Tensor) -> Tensor:
            if as_coded:
                return self_distances(vectors)[numbers]
            return pair_distances(vectors, *distance_places(numbers, n_classes))

        return sampled_rank_loss(
            partial(drawn, prototypes),
            partial(drawn, self._class_vectors),
            n_classes if as_coded else n_classes * (n_classes - 1) // 2,
            sample=self.rank_sample,
            generator=self._generator,
        )

    def _target_terms(
        self, images: Tensor, prototypes: Tensor, bank: FeatureBank
    ) -> dict[str, tuple[float, Tensor]]:
        terms: dict[str, tuple[float, Tensor]] = {}
        if self.entropy:
            entropy = entropy_loss(images @ prototypes.detach().T)
            terms["entropy"] = (self.entropy, entropy)
        if bank.add(images) and bank.features is not None:
            if self.diversity:
                diversity = diversity_loss(bank.features @ prototypes.T)
                terms["diversity"] = (self.diversity, diversity)
            unknown = ~self.text_.known
            if self.balance and unknown.any():
                mass = (images @ prototypes.T).softmax(dim=1)[:, unknown].sum(dim=1)
                terms["balance"] = (self.balance, balance_loss(mass, self.c))
        return terms

    def _batches(self, n_images: int) -> Iterator[Tensor]:
        """Row numbers of ``scoring_batches``, or of mixed batches of about equal size."""
        if self.scoring_batches is not None:
            yield from self.scoring_batches
            return
        generator = torch.Generator().manual_seed(EVALUATION_SEED)
        order = torch.randperm(n_images, generator=generator)
        yield from order.tensor_split(max(1, math.ceil(n_images / self.batch_size)))

    @torch.inference_mode()
    def logit_blocks(self, features: Tensor) -> Iterator[Block]:
        """Give the logits of mixed batches, shuffled with a fixed seed.

        Batches are of about equal size, at most ``batch_size``; ``scoring_batches`` overrides them.
        """
        classes = torch.arange(len(self.prototypes_), device=features.device)
        for rows in self._batches(len(features)):
            logits = self._logits(widened(features[rows]))
            yield Block(rows.to(features.device), classes, logits)

    @torch.inference_mode()
    def image_features(self, features: Tensor) -> Tensor:
        """v of each image, ``(n_images, width)``, in the batches of `logit_blocks`."""
        images = self.prototypes_.new_empty(len(features), self.prototypes_.shape[1])
        for rows in self._batches(len(features)):
            images[rows] = self._image_side(widened(features[rows])) * self.temperature
        return images

    def _logits(self, features: Tensor) -> Tensor:
        return self._image_side(features) @ self.prototypes_.T

    def state(self) -> dict[str, Tensor]:
        """Adapter and class prototypes."""
        adapter = {f"adapter.{name}": value for name, value in self.adapter_.state_dict().items()}
        return {**adapter, "prototypes": self.prototypes_}

    def restore(self, state: Mapping[str, Tensor], text: ClassText) -> Self:
        """Take on adapter and prototypes of a saved `state`."""
        dim, device = text.features.shape[1], text.features.device
        start = "adapter."
        self.adapter_ = BatchAttentionAdapter(dim, self.width).to(device)
        self.adapter_.load_state_dict(
            {name.removeprefix(start): state[name] for name in state if name.startswith(start)}
        )
        self.prototypes_ = state["prototypes"].to(device)
        self.text_ = text
        return self
