"""Plain loops: a method's maths as one writes it first, from the formulas, in plain PyTorch.

Nothing is taken from the package's methods but the weights before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.config.methods import (
    ClipAdapterSettings,
    Settings,
    SreClipReferenceSettings,
    TaskResSettings,
)
from sreclip.config.sre_clip import SreClipSettings
from sreclip.methods.adapter_training import Adapters
from sreclip.methods.clip_adapter import ClipAdapter
from sreclip.methods.data import FitData
from sreclip.methods.sre_clip import SreClip
from sreclip.methods.sre_clip_reference import SreClipReference
from sreclip.methods.taskres import TaskRes
from sreclip.train.fits import FitInputs, fit, make_method

# Beyond this many class distances the rank loss takes a sample of pairs, and not all.
MOST_DISTANCES = 2048


class Plain(Protocol):
    """A plain loop, made from a fit's first weights (``start``), its inputs and its settings."""

    def step(self) -> dict[str, float]:
        """Take one step and give its loss terms."""


def shuffled(n: int, size: int) -> Iterator[Tensor]:
    """Batches of row numbers, for ever, without the remainder of a pass."""
    size = min(size, n)
    while True:
        order = torch.randperm(n)
        for start in range(0, n - size + 1, size):
            yield order[start : start + size]


def weights(module: nn.Module) -> dict[str, Tensor]:
    """Copies of a module's parameters, by name, to be trained."""
    return {
        name: value.detach().clone().requires_grad_() for name, value in module.named_parameters()
    }


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class PlainClipAdapter:
    """``f' = ratio ReLU(W2 ReLU(W1 f)) + (1 - ratio) f``, cross-entropy over known classes."""

    def __init__(
        self, start: ClipAdapter, inputs: FitInputs, settings: ClipAdapterSettings
    ) -> None:
        self.inputs, self.ratio = inputs, settings.ratio
        self.labels = known_numbers(inputs)
        self.w1, self.w2 = weights(start.adapter_).values()
        self.optimizer = torch.optim.Adam([self.w1, self.w2], lr=settings.lr)
        self.rows = shuffled(len(inputs.source_features), settings.batch_size)

    def step(self) -> dict[str, float]:
        rows = next(self.rows)
        x, text = self.inputs.source_features[rows], self.inputs.text
        adapted = torch.relu(torch.relu(x @ self.w1.T) @ self.w2.T)
        v = F.normalize(self.ratio * adapted + (1 - self.ratio) * x, dim=1)
        logits = text.logit_scale * v @ text.features[text.known].T
        loss = F.cross_entropy(logits, self.labels[rows])
        descend(self.optimizer, loss)
        return {"source": loss.item()}


class PlainTaskRes:
    """``w'_c = norm(w_c + alpha x_c)``, cross-entropy over known classes."""

    def __init__(self, start: TaskRes, inputs: FitInputs, settings: TaskResSettings) -> None:
        self.inputs, self.alpha = inputs, settings.alpha
        self.labels = known_numbers(inputs)
        self.residual = torch.zeros_like(inputs.text.features, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.residual], lr=settings.lr)
        self.rows = shuffled(len(inputs.source_features), settings.batch_size)

    def step(self) -> dict[str, float]:
        rows, text = next(self.rows), self.inputs.text
        w = F.normalize(text.features + self.alpha * self.residual, dim=1)
        logits = text.logit_scale * self.inputs.source_features[rows] @ w[text.known].T
        loss = F.cross_entropy(logits, self.labels[rows])
        descend(self.optimizer, loss)
        return {"source": loss.item()}


def known_numbers(inputs: FitInputs) -> Tensor:
    """Source labels, numbered among the known classes."""
    return (inputs.text.known.cumsum(0) - 1)[inputs.source_labels]


class PlainRank:
    """``mean of ReLU(D[a] - D[b])`` over pairs of class distances with ``semantic[a] <
    semantic[b]``: a table of all pairs, or a sample where there are too many.
    """

    def __init__(self, semantic: Tensor, sample: int) -> None:
        n = len(semantic)
        self.rows, self.columns = torch.triu_indices(n, n, 1)
        self.semantic = semantic[self.rows, self.columns]
        self.sample = sample if len(self.semantic) > MOST_DISTANCES else None
        if self.sample is None:
            self.ordered = (self.semantic[:, None] < self.semantic[None, :]).float()

    def loss(self, distances: Tensor) -> Tensor:
        d = distances[self.rows, self.columns]
        if self.sample is None:
            excess = torch.relu(d[:, None] - d[None, :])
            return (excess * self.ordered).sum() / self.ordered.sum()
        a, b = torch.randint(len(d), (2, self.sample))
        sign = (self.semantic[b] - self.semantic[a]).sign()
        return torch.relu(sign * (d[a] - d[b]))[sign != 0].mean()


class PlainReference:
    """SRE-CLIP as its authors' code has it, with the settings' own weights of the terms."""

    def __init__(
        self, start: SreClipReference, inputs: FitInputs, settings: SreClipReferenceSettings
    ) -> None:
        self.inputs, self.settings = inputs, settings
        self.adapter, self.gcn = weights(start.adapter_), weights(start.gcn_)
        self.optimizer = torch.optim.SGD(
            [
                {"params": self.adapter.values(), "lr": settings.adapter_lr},
                {"params": self.gcn.values(), "lr": settings.gcn_lr},
            ],
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=True,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.rate)
        self.source_rows = shuffled(len(inputs.source_features), settings.batch_size)
        self.target_rows = shuffled(len(inputs.target_features), settings.batch_size)
        classes = inputs.graph.node_features[inputs.graph.class_nodes]
        self.rank = PlainRank(torch.cdist(classes, classes), settings.rank_sample)
        self.bank: list[Tensor] = []
        self.n_steps = 0

    def rate(self, step: int) -> float:
        late = max(0, step - self.settings.warmup_steps)
        return (1 + self.settings.decay * late) ** -self.settings.decay_power

    def images(self, x: Tensor) -> Tensor:
        p = self.adapter
        q = F.linear(x, p["query.weight"], p["query.bias"])
        k = F.linear(x, p["key.weight"], p["key.bias"])
        v = F.linear(x, p["value.weight"], p["value.bias"])
        z = torch.softmax(q @ k.T / math.sqrt(self.settings.width), dim=1) @ v + v
        return F.normalize(z, dim=1) / self.settings.temperature

    def prototypes(self) -> Tensor:
        p, graph, rate = self.gcn, self.inputs.graph, self.settings.dropout
        h = F.dropout(graph.node_features, rate) @ p["first.weight"]
        h = F.leaky_relu(torch.sparse.mm(graph.adjacency, h) + p["first.bias"], 0.2)
        h = F.dropout(h, rate) @ p["second.weight"]
        h = torch.sparse.mm(graph.adjacency, h) + p["second.bias"]
        return F.normalize(h[graph.class_nodes], dim=1)

    def step(self) -> dict[str, float]:
        s, data = self.settings, self.inputs
        rows = next(self.source_rows)
        e = self.prototypes()
        p = self.images(data.source_features[rows]) @ e.T
        related = (e @ e.T)[p.argmax(dim=1)]
        terms = {
            "cross_entropy": (1.0, F.cross_entropy(p, data.source_labels[rows])),
            "rank": (s.rank, self.rank.loss(torch.cdist(e, e))),
            "relation": (s.relation, ((p - related) ** 2).mean()),
        }
        fill = math.ceil(s.bank_size / min(s.batch_size, len(data.target_features)))
        if self.n_steps >= s.warmup_steps:
            terms = {name: (s.source * weight, term) for name, (weight, term) in terms.items()}
            terms |= self.target_terms(e)
        elif self.n_steps >= s.warmup_steps - fill:
            with torch.no_grad():
                self.bank.append(self.images(data.target_features[next(self.target_rows)]))
        descend(self.optimizer, torch.stack([w * term for w, term in terms.values()]).sum())
        self.schedule.step()
        self.n_steps += 1
        return {name: term.item() for name, (_, term) in terms.items()}

    def target_terms(self, e: Tensor) -> dict[str, tuple[float, Tensor]]:
        s, v = self.settings, self.images(self.inputs.target_features[next(self.target_rows)])
        q = torch.softmax(v @ e.detach().T, dim=1)
        terms = {"entropy": (s.entropy, -(q * (q + 1e-30).log()).sum(dim=1).mean())}
        full = sum(map(len, self.bank)) >= s.bank_size
        bank = torch.cat([*self.bank, v.detach()])[-s.bank_size :]
        self.bank = [bank]
        if full:
            mean = torch.softmax(bank @ e.T, dim=1).mean(dim=0)
            u = torch.softmax(v @ e.T, dim=1)[:, ~self.inputs.text.known].sum(dim=1).mean()
            terms["diversity"] = (s.diversity, (mean * (mean + 1e-30).log()).sum())
            terms["balance"] = (s.balance, u + s.c**2 / u)
        return terms


class PlainSreClip:
    """The adapters of `sre_clip`, first round, with the terms that are on by default."""

    def __init__(self, start: SreClip, inputs: FitInputs, settings: SreClipSettings) -> None:
        self.inputs, self.settings = inputs, settings
        self.labels = known_numbers(inputs)
        torch.manual_seed(start.seed)
        data = FitData(*(getattr(inputs, field.name) for field in fields(FitData)))
        adapters = Adapters(data.text.features, data.graph.node_features, settings)
        self.image, self.classes = weights(adapters.image), weights(adapters.classes)
        self.optimizer = torch.optim.AdamW(
            [*self.image.values(), *self.classes.values()],
            lr=settings.lr,
            weight_decay=settings.weight_decay,
        )
        self.source_rows = shuffled(len(inputs.source_features), settings.batch_size)
        self.target_rows = shuffled(len(inputs.target_features), settings.batch_size)
        self.rank = PlainRank(1 - inputs.graph.relation, settings.rank_sample)
        self.texts = torch.cat([inputs.text.features, inputs.graph.node_features])

    def images(self, x: Tensor) -> Tensor:
        p, s = self.image, self.settings
        hidden = F.gelu(F.linear(x * math.sqrt(x.shape[1]), p["mlp.0.weight"], p["mlp.0.bias"]))
        q, k = x @ p["query.weight"].T, self.texts @ p["key.weight"].T
        attention = torch.softmax(q @ k.T * math.sqrt(s.width), dim=1)
        hidden = torch.cat([hidden, attention @ (self.texts @ p["value.weight"].T)], dim=1)
        change = F.linear(hidden, p["out.weight"], p["out.bias"])
        return F.normalize(x + s.image_scale * change, dim=1)

    def prototypes(self) -> Tensor:
        p, s, graph = self.classes, self.settings, self.inputs.graph
        h = F.linear(F.dropout(graph.node_features, s.dropout), p["first.weight"], p["first.bias"])
        h = F.leaky_relu(torch.sparse.mm(graph.adjacency, h), 0.2)
        h = F.linear(F.dropout(h, s.dropout), p["second.weight"], p["second.bias"])
        h = torch.sparse.mm(graph.adjacency, h)[graph.class_nodes]
        return F.normalize(self.inputs.text.features + s.class_scale * h, dim=1)

    def step(self) -> dict[str, float]:
        s, text, graph = self.settings, self.inputs.text, self.inputs.graph
        rows = next(self.source_rows)
        x, labels = self.inputs.source_features[rows], self.inputs.source_labels[rows]
        x_target = self.inputs.target_features[next(self.target_rows)]
        e = self.prototypes()
        logits = text.logit_scale * self.images(x) @ e.T
        target_logits = text.logit_scale * self.images(x_target) @ e.T
        frozen, target_frozen = text.zero_shot_logits(x), text.zero_shot_logits(x_target)
        wanted = torch.softmax(graph.relation[labels] / s.relation_temperature, dim=1)
        known, unknown = text.known, ~text.known
        terms = {
            "source": F.cross_entropy(logits[:, known], self.labels[rows]),
            "relation": divergence(wanted, logits),
            "rank": self.rank.loss((2 - 2 * e @ e.T).clamp_min(1e-12).sqrt()),
            "unknown_retention": divergence(frozen[:, unknown].softmax(1), logits[:, unknown])
            + divergence(target_frozen[:, unknown].softmax(1), target_logits[:, unknown]),
            "anchor": (1 - (e * text.features).sum(dim=1)).mean(),
        }
        weighted = [getattr(s, name) * term for name, term in terms.items()]
        descend(self.optimizer, torch.stack(weighted).sum())
        return {name: term.item() for name, term in terms.items()}


def divergence(wanted: Tensor, logits: Tensor) -> Tensor:
    """Mean KL from the rows of ``wanted`` to the softmax of the logits."""
    log_p = torch.log_softmax(logits, dim=1)
    return (wanted * ((wanted + 1e-30).log() - log_p)).sum(dim=1).mean()


PLAIN: dict[str, Callable[..., Plain]] = {
    "clip_adapter": PlainClipAdapter,
    "taskres": PlainTaskRes,
    "sre_clip_reference": PlainReference,
    "sre_clip": PlainSreClip,
}


def plain_loop(name: str, inputs: FitInputs, settings: Settings) -> Plain:
    """The plain loop of a method, from the method's own first weights."""
    none = {key: 0 for key in ("steps", "warmup_steps", "rounds") if hasattr(settings, key)}
    few = replace(inputs, target_features=inputs.target_features[:1])
    start = fit(make_method(name, settings.changed(none), 0), few)
    return PLAIN[name](start, inputs, settings)


def loss_difference(name: str, inputs: FitInputs, settings: Settings, steps: int = 6) -> float:
    """How far the loss terms of the plain loop are from the package's, over the first steps.

    Every batch is all images, so that it does not matter in which order they are drawn, and nothing
    is dropped out. The largest difference is given, relative to the term (or to 0.01 if that is
    more).
    """
    wanted = {
        "steps": steps,
        "warmup_steps": steps // 2,
        "batch_size": max(len(inputs.source_features), len(inputs.target_features)),
        "bank_size": 2 * len(inputs.target_features),
        "dropout": 0.0,
        "rounds": 0,
        "width": 32,
        "gcn_width": 32,
    }
    changes = {key: value for key, value in wanted.items() if hasattr(settings, key)}
    settings = settings.changed(changes)
    plain = plain_loop(name, inputs, settings)
    worst = 0.0
    for record in fit(make_method(name, settings, 0), inputs).history_:
        terms = plain.step()
        if terms.keys() != record.keys() - {"step"}:
            return math.inf
        for term, value in terms.items():
            worst = max(worst, abs(value - record[term]) / max(0.01, abs(record[term])))
    return worst
