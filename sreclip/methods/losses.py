"""Loss terms of SRE-CLIP and its relatives, each on its own so that it can be checked alone.

Sources: the authors' published code of SRE-CLIP (relation, rank, entropy, diversity, balance) and
UODTN (Zhuo et al., CVPR 2019; balance). Ours: `relation_distillation`, `retention_loss`,
`anchor_loss` and the cross-entropy over known classes only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_EXACT_DISTANCES = 2048
# With more entries (1,024 classes), only the distances that are drawn are worked out.
MAX_DISTANCE_MATRIX = 1 << 20
SELF_CHUNK = 256
Distances = Callable[[Tensor], Tensor]


def known_cross_entropy(logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy with the softmax over the known classes only.

    With all classes in the softmax every source image would push every unknown class down.

    Parameters
    ----------
    logits : Tensor
        ``(n_images, n_classes)``.
    labels : Tensor
        ``(n_images,)``, class numbers of known classes.
    known : Tensor
        ``(n_classes,)``, bool.
    """
    return F.cross_entropy(logits.masked_fill(~known, -torch.inf), labels)


def relation_loss(logits: Tensor, prototypes: Tensor) -> Tensor:
    """Semantic relation structure loss of the authors' code.

    With ``k* = argmax_c logits``, the mean squared error between the image's row of logits and
    ``(e_k* . e_c)_c``, over all entries.

    Parameters
    ----------
    logits : Tensor
        ``(n_images, n_classes)``.
    prototypes : Tensor
        Unit-norm class prototypes ``e_c``, ``(n_classes, dim)``.
    """
    best = logits.argmax(dim=1)
    if len(best) < len(prototypes):
        return F.mse_loss(logits, prototypes[best] @ prototypes.T)
    return F.mse_loss(logits, (prototypes @ prototypes.T)[best])


def relation_distillation(logits: Tensor, labels: Tensor, relation: Tensor, tau: float) -> Tensor:
    """KL from ``softmax(R_y / tau)`` to the image's distribution over all classes (ours).

    A labelled image of a known class so teaches the unknown relatives of that class.

    Parameters
    ----------
    logits : Tensor
        ``(n_images, n_classes)``.
    labels : Tensor
        ``(n_images,)``.
    relation : Tensor
        R, ``(n_classes, n_classes)``.
    tau : float
        Temperature of the softmax over relations.
    """
    wanted = F.log_softmax(relation[labels] / tau, dim=1)
    return F.kl_div(F.log_softmax(logits, dim=1), wanted, reduction="batchmean", log_target=True)


def rank_loss(
    prototype_distances: Tensor,
    semantic_distances: Tensor,
    pairs: Literal["as_intended", "as_coded"] = "as_intended",
    *,
    sample: int = 4096,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Keep the order of class-to-class distances.

    The mean of ``ReLU(D_proto[a] - D_proto[b])`` over the pairs (a, b) of distances with
    ``D_sem[a] < D_sem[b]``; zero when there is no such pair. ``as_coded`` takes, like the
    authors' code, only the diagonals, where every distance is float noise.

    Parameters
    ----------
    prototype_distances, semantic_distances : Tensor
        Symmetric, ``(n_classes, n_classes)``.
    pairs : {"as_intended", "as_coded"}
        Which distances are compared.
    sample : int
        With more than `MAX_EXACT_DISTANCES` distances, how many pairs are drawn.
    generator : torch.Generator, optional
        Source of the draw.
    """
    return RankLoss(semantic_distances, pairs, sample=sample, generator=generator)(
        prototype_distances
    )


class RankLoss:
    """`rank_loss` against semantic distances that are sorted once, for all steps of a fit."""

    def __init__(
        self,
        semantic_distances: Tensor,
        pairs: Literal["as_intended", "as_coded"] = "as_intended",
        *,
        sample: int = 4096,
        generator: torch.Generator | None = None,
    ) -> None:
        n_classes, device = len(semantic_distances), semantic_distances.device
        if pairs == "as_coded":
            self.rows = self.columns = torch.arange(n_classes, device=device)
        else:
            self.rows, self.columns = torch.triu_indices(n_classes, n_classes, 1, device=device)
        self.semantic = semantic_distances[self.rows, self.columns]
        self.sample, self.generator = sample, generator
        if self.exact:
            self._by_semantic = self.semantic.argsort(stable=True)
            _, tied = torch.unique_consecutive(self.semantic[self._by_semantic], return_counts=True)
            self._group = torch.repeat_interleave(tied)
            self._n_pairs = (len(self.semantic) ** 2 - int(tied.square().sum())) // 2

    @property
    def exact(self) -> bool:
        """All pairs of distances are compared; otherwise some are drawn."""
        return len(self.semantic) <= MAX_EXACT_DISTANCES

    def __call__(self, prototype_distances: Tensor) -> Tensor:
        """Give the loss of these distances, ``(n_classes, n_classes)``."""
        prototype = prototype_distances[self.rows, self.columns]
        if not self.exact:
            drawn = torch.randint(len(prototype), (2, self.sample), generator=self.generator)
            return _mean_excess(prototype[drawn], self.semantic[drawn])
        if not self._n_pairs:
            return prototype_distances.sum() * 0
        return self._misordered(prototype) / self._n_pairs

    def _misordered(self, prototype: Tensor) -> Tensor:
        """Sum of ``ReLU(prototype[a] - prototype[b])`` over the pairs with semantic[a] smaller.

        A distance enters the sum as often as it is too long, less the times it is too short: by how
        many places it stands further back among the prototype distances than among the semantic
        ones. So two sorts do instead of a table of all pairs. Of equal distances, those that are
        equal in the other order as well share a pair with no excess: each order is refined by the
        other.
        """
        in_order = prototype[self._by_semantic]
        by_prototype = in_order.detach().argsort(stable=True)
        refined = by_prototype[self._group[by_prototype].argsort(stable=True)]
        places = torch.arange(len(in_order), device=in_order.device)
        too_far_back = torch.empty_like(places).scatter_(0, by_prototype, places)
        too_far_back -= torch.empty_like(places).scatter_(0, refined, places)
        # The places sum to zero. Without their mean the distances hardly cancel: less is rounded.
        return (too_far_back * (in_order - in_order.detach().mean())).sum()


def sampled_rank_loss(
    prototype: Distances,
    semantic: Distances,
    n_distances: int,
    *,
    sample: int = 4096,
    generator: torch.Generator | None = None,
) -> Tensor:
    """`rank_loss` of drawn pairs, without a matrix of all distances.

    The draw is that of `rank_loss`; only the ``2 sample`` distances that are drawn are asked for.

    Parameters
    ----------
    prototype, semantic : callable
        From numbers of distances, ``(n,)``, to these distances; see `distance_places`.
    n_distances : int
        How many there are.
    sample : int
        How many pairs of distances are drawn.
    generator : torch.Generator, optional
        Source of the draw.
    """
    drawn = torch.randint(n_distances, (2, sample), generator=generator).flatten()
    pairs = (distances(drawn).view(2, sample) for distances in (prototype, semantic))
    return _mean_excess(*pairs)


def distance_places(numbers: Tensor, n_classes: int) -> tuple[Tensor, Tensor]:
    """Row and column of entries above the diagonal of a matrix, which count row by row from 0."""
    lengths = torch.arange(n_classes - 1, -1, -1)
    ends = lengths.cumsum(0)
    rows = torch.searchsorted(ends, numbers, right=True)
    return rows, numbers - ends[rows] + n_classes


def _mean_excess(prototype: Tensor, semantic: Tensor) -> Tensor:
    """Mean of ``ReLU`` of shorter minus longer over pairs of distances, both ``(2, n_pairs)``.

    The semantic distances say which is to be the shorter; equal ones make no pair.
    """
    excess = (prototype[0] - prototype[1]) * (semantic[1] - semantic[0]).sign()
    ordered = semantic[0] != semantic[1]
    return (F.relu(excess) * ordered).sum() / ordered.sum().clamp_min(1)


def pair_distances(vectors: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Euclidean distances of some pairs of rows of ``vectors``, ``(n_pairs,)``."""
    return torch.linalg.vector_norm(vectors[rows] - vectors[columns], dim=1)


def self_distances(vectors: Tensor) -> Tensor:
    """The diagonal of the table of all Euclidean distances: float noise, ``(n_vectors,)``."""
    chunks = vectors.split(SELF_CHUNK)
    return torch.cat([torch.cdist(chunk, chunk).diagonal() for chunk in chunks])


def entropy_loss(logits: Tensor) -> Tensor:
    """Mean entropy of the predictions, in nats; ``logits`` is ``(n_images, n_classes)``."""
    log_p = F.log_softmax(logits, dim=1)
    return -(log_p.exp() * log_p).sum(dim=1).mean()


def diversity_loss(bank_logits: Tensor) -> Tensor:
    """Negative entropy of the mean prediction over a bank, in nats.

    ``bank_logits`` is ``(n_images, n_classes)``; the loss is least when all classes are used
    alike.
    """
    mean = F.softmax(bank_logits, dim=1).mean(dim=0)
    return torch.xlogy(mean, mean).sum()


def balance_loss(unknown_mass: Tensor, c: float) -> Tensor:
    """Limited balance ``u + c^2 / u`` of the mean probability mass on unknown classes.

    Least at ``u = c``, where it is ``2 c``. ``unknown_mass`` is ``(n_images,)``; u is its mean,
    kept above 1e-6 so that an empty mass gives a large and finite loss.
    """
    u = unknown_mass.mean().clamp_min(1e-6)
    return u + c**2 / u


def retention_loss(logits: Tensor, zero_shot_logits: Tensor) -> Tensor:
    """KL from the frozen zero-shot distribution to the adapted one (ours).

    Both ``(n_images, n_classes)``.
    """
    return F.kl_div(
        F.log_softmax(logits, dim=1),
        F.log_softmax(zero_shot_logits, dim=1),
        reduction="batchmean",
        log_target=True,
    )


def soft_label_loss(logits: Tensor, soft_labels: Tensor) -> Tensor:
    """KL from soft labels (rows sum to 1) to the predictions, both ``(n_images, n_classes)``."""
    return F.kl_div(F.log_softmax(logits, dim=1), soft_labels, reduction="batchmean")


def anchor_loss(prototypes: Tensor, text: Tensor) -> Tensor:
    """Mean of ``1 - e_c . w_c`` over classes (ours); unit-norm rows, ``(n_classes, dim)``."""
    return (1 - (prototypes * text).sum(dim=1)).mean()


def matched_pair_loss(source: Tensor, target: Tensor, matched: Tensor) -> Tensor:
    """Mean Euclidean distance of the pairs that are matched; zero when none is.

    The semantic-guided matching discrepancy of UODTN (Zhuo et al., CVPR 2019), with weights that
    are 1 or 0.

    Parameters
    ----------
    source, target : Tensor
        Image vectors of pairs, ``(n_pairs, dim)``.
    matched : Tensor
        ``(n_pairs,)``, bool.
    """
    distances = torch.linalg.vector_norm(source - target, dim=1)
    return (distances * matched).sum() / matched.sum().clamp_min(1)
