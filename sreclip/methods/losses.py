"""Loss terms of SRE-CLIP and its relatives.

Logits are ``(..., n_images, n_classes)``, labels ``(..., n_images)``, prototypes ``(..., n_classes,
dim)``, relation R ``(n_classes, n_classes)``, ``known`` ``(n_classes,)``. What stands for the dots,
of several fits at once one dimension, is that of the loss; `relation_loss` takes one fit alone.

Sources: the authors' published code of SRE-CLIP (relation, rank, entropy, diversity, balance) and
UODTN (Zhuo et al., CVPR 2019; balance). Ours: `relation_distillation`, `retention_loss`,
`anchor_loss` and the cross-entropy over known classes only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# All pairs of the distances of so many classes are compared, of more a sample.
MAX_EXACT_CLASSES = 64
# From class numbers, both (..., n), to the distances of these pairs of classes, (..., n).
Distances = Callable[[Tensor, Tensor], Tensor]


def known_cross_entropy(logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Return the cross-entropy with the softmax over the known classes only.

    With all classes in the softmax every source image would push every unknown class down.
    """
    masked = logits.masked_fill(~known, -torch.inf).flatten(0, -2)
    of_each = labels.expand(logits.shape[:-1])
    losses = F.cross_entropy(masked, of_each.flatten(), reduction="none")
    return losses.view(of_each.shape).mean(dim=-1)


def relation_loss(logits: Tensor, prototypes: Tensor) -> Tensor:
    """Return the semantic relation structure loss of the authors' code.

    With ``k* = argmax_c logits``, the mean squared error between an image's logits and ``(e_k* .
    e_c)_c``, over all entries; ``prototypes`` are the unit-norm e_c.
    """
    best = logits.argmax(dim=1)
    if len(best) < len(prototypes):
        return F.mse_loss(logits, prototypes[best] @ prototypes.T)
    return F.mse_loss(logits, (prototypes @ prototypes.T)[best])


def relation_distillation(logits: Tensor, labels: Tensor, relation: Tensor, tau: float) -> Tensor:
    """Return the KL from ``softmax(R_y / tau)`` to an image's class distribution (ours).

    So a labelled image of a known class teaches the unknown relatives of that class.
    """
    return retention_loss(logits, relation[labels] / tau)


class RankLoss:
    """Keep the order of class-to-class distances.

    The mean of ``ReLU(D_proto[a] - D_proto[b])`` over the pairs (a, b) of distances with
    ``D_sem[a] < D_sem[b]``; zero when there is no such pair. Beyond `MAX_EXACT_CLASSES` classes,
    ``sample`` pairs are drawn per call, and only their distances are computed; of several
    generators, each draws its own.

    With ``as_coded``, like the authors' code, only the distances of classes to themselves are
    compared. All are zero or float noise, and so is the loss; its gradient is zero.
    """

    def __init__(
        self,
        semantic: Distances,
        n_classes: int,
        *,
        sample: int,
        generator: torch.Generator | Sequence[torch.Generator],
        as_coded: bool = False,
    ) -> None:
        self.semantic = semantic
        self.n_classes = n_classes
        self.sample = sample
        self.generator = generator
        self.exact = as_coded or n_classes <= MAX_EXACT_CLASSES
        if self.exact:
            above_diagonal = torch.triu_indices(n_classes, n_classes, 1)
            pairs = torch.arange(n_classes).expand(2, -1) if as_coded else above_diagonal
            distances = semantic(*pairs)
            self._pairs = pairs.to(distances.device)
            self._by_semantic = distances.argsort(stable=True)
            _, tied = torch.unique_consecutive(distances[self._by_semantic], return_counts=True)
            self._group = torch.repeat_interleave(tied)
            self._n_pairs = (len(distances) ** 2 - int(tied.square().sum())) // 2

    def __call__(self, prototype: Distances) -> Tensor:
        """Return the loss of the distances D_proto."""
        if self.exact:
            distances = prototype(*self._pairs)
            return self._misordered(distances) / max(1, self._n_pairs)
        n_distances = self.n_classes * (self.n_classes - 1) // 2
        places = distance_places(self._drawn(n_distances), self.n_classes)
        first, second = prototype(*places).chunk(2, dim=-1)
        wanted_first, wanted_second = self.semantic(*places).chunk(2, dim=-1)
        # The semantic distances say which is to be the shorter; equal ones make no pair.
        excess = (first - second) * (wanted_second - wanted_first).sign()
        ordered = wanted_first != wanted_second
        return (F.relu(excess) * ordered).sum(dim=-1) / ordered.sum(dim=-1).clamp_min(1)

    def _drawn(self, n_distances: int) -> Tensor:
        generators, size = self.generator, (2 * self.sample,)
        if isinstance(generators, torch.Generator):
            return torch.randint(n_distances, size, generator=generators)
        return torch.stack([torch.randint(n_distances, size, generator=g) for g in generators])

    def _misordered(self, prototype: Tensor) -> Tensor:
        """Sum of ``ReLU(prototype[a] - prototype[b])`` over the pairs with semantic[a] smaller.

        A distance enters the sum as often as it is too long, minus the times it is too short: the
        number of places that it is further back among the prototype distances than among the
        semantic ones. So two sorts replace a table of all pairs. Each order breaks its ties by the
        other, since distances that are equal in both make no excess.
        """
        in_order = prototype[..., self._by_semantic]
        by_prototype = in_order.detach().argsort(dim=-1, stable=True)
        refined = by_prototype.gather(-1, self._group[by_prototype].argsort(dim=-1, stable=True))
        places = torch.arange(in_order.shape[-1], device=in_order.device).expand(in_order.shape)
        too_far_back = torch.empty_like(by_prototype).scatter_(-1, by_prototype, places)
        too_far_back -= torch.empty_like(by_prototype).scatter_(-1, refined, places)
        # The places sum to zero. Without their mean the distances hardly cancel: less is rounded.
        centred = in_order - in_order.detach().mean(dim=-1, keepdim=True)
        return (too_far_back * centred).sum(dim=-1)


def distance_places(numbers: Tensor, n_classes: int) -> tuple[Tensor, Tensor]:
    """Return row and column of entries above the diagonal of a matrix, counted row by row."""
    lengths = torch.arange(n_classes - 1, -1, -1)
    ends = lengths.cumsum(0)
    rows = torch.searchsorted(ends, numbers, right=True)
    return rows, numbers - ends[rows] + n_classes


def euclidean_distances(vectors: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return Euclidean distances of some pairs of rows of ``vectors``."""
    if len(vectors) <= MAX_EXACT_CLASSES:
        return torch.cdist(vectors, vectors)[rows, columns]
    return torch.linalg.vector_norm(vectors[rows] - vectors[columns], dim=1)


def unit_distances(vectors: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return Euclidean distances of some pairs of unit-norm rows, from their cosines."""
    if vectors.shape[-2] <= MAX_EXACT_CLASSES:
        cosines = (vectors @ vectors.mT)[..., rows, columns]
    else:
        places = (n.unsqueeze(-1).expand(*n.shape, vectors.shape[-1]) for n in (rows, columns))
        first, second = (vectors.gather(-2, place) for place in places)
        cosines = (first * second).sum(dim=-1)
    return (2 - 2 * cosines).clamp_min(1e-12).sqrt()


def entropy_loss(logits: Tensor) -> Tensor:
    """Return the mean entropy of the predictions, in nats."""
    log_p = F.log_softmax(logits, dim=-1)
    return -(log_p.exp() * log_p).sum(dim=-1).mean(dim=-1)


def diversity_loss(bank_logits: Tensor) -> Tensor:
    """Return the negative entropy of the mean prediction over a bank, in nats.

    The loss is least when all classes are used equally.
    """
    mean = F.softmax(bank_logits, dim=-1).mean(dim=-2)
    return torch.xlogy(mean, mean).sum(dim=-1)


def unknown_mass(logits: Tensor, known: Tensor) -> Tensor:
    """Return the probability of all unknown classes together, ``(..., n_images)``."""
    return logits.softmax(dim=-1)[..., ~known].sum(dim=-1)


def balance_loss(mass: Tensor, c: float) -> Tensor:
    """Return the limited balance ``u + c^2 / u`` of the probability mass on unknown classes.

    It is least at ``u = c``, where it is ``2 c``. u is the mean of ``mass``, kept above 1e-6 so
    that an empty mass gives a large and finite loss.
    """
    u = mass.mean(dim=-1).clamp_min(1e-6)
    return u + c**2 / u


def retention_loss(logits: Tensor, zero_shot_logits: Tensor) -> Tensor:
    """Return the KL from the zero-shot to the adapted distribution (ours)."""
    return divergences(logits, zero_shot_logits).mean(dim=-1)


def divergences(logits: Tensor, wanted_logits: Tensor) -> Tensor:
    """Return the KL from the softmax of the wanted logits to the other, ``(..., n_images)``."""
    wanted = F.log_softmax(wanted_logits, dim=-1)
    log_p = F.log_softmax(logits, dim=-1)
    return F.kl_div(log_p, wanted, reduction="none", log_target=True).sum(dim=-1)


def soft_label_loss(logits: Tensor, soft_labels: Tensor) -> Tensor:
    """Return the KL from soft labels, whose rows sum to 1, to the predictions."""
    log_p = F.log_softmax(logits, dim=-1)
    return F.kl_div(log_p, soft_labels, reduction="none").sum(dim=-1).mean(dim=-1)


def anchor_loss(prototypes: Tensor, text: Tensor) -> Tensor:
    """Return the mean of ``1 - e_c . w_c`` (ours) over unit-norm rows."""
    return (1 - (prototypes * text).sum(dim=-1)).mean(dim=-1)


def matched_pair_loss(source: Tensor, target: Tensor, matched: Tensor) -> Tensor:
    """Return the mean Euclidean distance of the matched pairs; zero when there is none.

    The semantic-guided matching discrepancy of UODTN (Zhuo et al., CVPR 2019), with weights 1 and
    0. ``source`` and ``target`` are ``(n_pairs, dim)``, ``matched`` is ``(n_pairs,)``.
    """
    distances = torch.linalg.vector_norm(source - target, dim=1)
    return (distances * matched).sum() / matched.sum().clamp_min(1)
