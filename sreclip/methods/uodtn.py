"""UODTN: bGCN, with source and target images matched and drawn together."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sreclip.methods.base import FitData, Progress, batches
from sreclip.methods.bgcn import Bgcn
from sreclip.methods.blocks import widened
from sreclip.methods.losses import matched_pair_loss


class Uodtn(Bgcn):
    """bGCN plus the distance between matched images of the two domains.

    Before training each target image is given a source image (`match_images`), and batches are
    batches of such pairs. A pair counts as matched in a step when its two predictions agree,
    ``sum over known c of p_source(c) p_target(c) > agreement``. Added to bGCN's loss is
    ``matching`` times the mean Euclidean distance ``|v_source - v_target|`` of matched pairs, and
    the balance takes the target images of the others alone.

    Source: Zhuo et al., "Unsupervised open domain recognition by semantic discrepancy
    minimization", CVPR 2019, and its authors' code (``junbaoZHUO/UODTN``). The paper and the
    code's script for domain adaptation alone measure the distance of matched features; the code's
    script for UODTN has in its place an adversarial loss between all source and the matched target
    images, weighted by their entropies. This is the paper's. Weight 0.7, c and the balance's
    weight are those of that script; agreement 0.6 is that of the distance and of the balance (for
    the adversarial loss it is 0.5). The code asks, too, that the largest known probability of the
    target image is over 0.5, which an agreement over 0.6 implies.

    Deviations, beside bGCN's: images are matched by cosine, not by L1 distance; in chunks of 1,024
    pairs, not 8,500; and when the source is the larger domain, target images are repeated.

    Every parameter is described in ``UodtnSettings``; a weight of 0 switches a term off.
    """

    title = "UODTN"
    citation = "Zhuo et al., CVPR 2019"
    transductive = True

    def __init__(
        self,
        width: int = 1024,
        dropout: float = 0.5,
        regression_steps: int = 300,
        regression_lr: float = 1e-3,
        regression_weight_decay: float = 5e-4,
        temperature: float = 0.05,
        tie: float = 1.5,
        balance: float = 3.0,
        c: float = 0.09,
        matching: float = 0.7,
        agreement: float = 0.6,
        match_chunk: int = 1024,
        adapter_lr: float = 2e-4,
        classifier_lr: float = 5e-4,
        gcn_lr: float = 5e-4,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        decay: float = 1e-3,
        decay_power: float = 0.75,
        steps: int = 1200,
        batch_size: int = 90,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(
            width=width,
            dropout=dropout,
            regression_steps=regression_steps,
            regression_lr=regression_lr,
            regression_weight_decay=regression_weight_decay,
            temperature=temperature,
            tie=tie,
            balance=balance,
            c=c,
            adapter_lr=adapter_lr,
            classifier_lr=classifier_lr,
            gcn_lr=gcn_lr,
            momentum=momentum,
            weight_decay=weight_decay,
            decay=decay,
            decay_power=decay_power,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            progress=progress,
        )
        self.matching = matching
        self.agreement = agreement
        self.match_chunk = match_chunk

    def _pairs(self, data: FitData, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        source_rows, target_rows = match_images(
            data.source_features, data.target_features, self.match_chunk, generator
        )
        for rows in batches(len(source_rows), self.batch_size, generator):
            yield source_rows[rows], target_rows[rows]

    def _target_terms(
        self, source: Tensor, target: Tensor, source_logits: Tensor, target_logits: Tensor
    ) -> dict[str, tuple[float, Tensor]]:
        agreed = agreement(source_logits, target_logits, self.text_.known)
        matched = agreed.detach() > self.agreement
        terms = self._balance_term(target_logits[~matched])
        if self.matching:
            terms["matching"] = (self.matching, matched_pair_loss(source, target, matched))
        return terms


def agreement(source_logits: Tensor, target_logits: Tensor, known: Tensor) -> Tensor:
    """``sum over known c of p_source(c) p_target(c)``, the softmaxes over all classes.

    Parameters
    ----------
    source_logits, target_logits : Tensor
        Of pairs, ``(n_pairs, n_classes)``.
    known : Tensor
        ``(n_classes,)``, bool.

    Returns
    -------
    Tensor, ``(n_pairs,)``
    """
    source, target = (logits.softmax(dim=1)[:, known] for logits in (source_logits, target_logits))
    return (source * target).sum(dim=1)


def match_images(
    source: Tensor, target: Tensor, chunk: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Pair all images of both domains, those of the smaller one more than once.

    The images are shuffled, the smaller domain's as often as needed, and cut alike into chunks; in
    each, pairs are the one-to-one assignment with the largest sum of cosines.

    Parameters
    ----------
    source, target : Tensor
        Unit norm, ``(n_source, dim)`` and ``(n_target, dim)``.
    chunk : int
        Pairs in a chunk, at most.
    generator : torch.Generator

    Returns
    -------
    source_rows, target_rows : Tensor
        ``(max(n_source, n_target),)``, int64.
    """
    n_pairs = max(len(source), len(target))
    n_chunks = math.ceil(n_pairs / chunk)
    source_rows, target_rows = (
        _repeated(len(features), n_pairs, generator) for features in (source, target)
    )
    matched = []
    for first, second in zip(
        source_rows.tensor_split(n_chunks), target_rows.tensor_split(n_chunks), strict=True
    ):
        cosines = widened(source[first]) @ widened(target[second]).T
        _, columns = linear_sum_assignment(cosines.cpu().numpy(), maximize=True)
        matched.append(second[torch.from_numpy(columns)])
    return source_rows, torch.cat(matched)


def _repeated(n: int, length: int, generator: torch.Generator) -> Tensor:
    """Give the numbers 0 .. n - 1 in shuffled passes, ``length`` of them."""
    passes = math.ceil(length / n)
    return torch.cat([torch.randperm(n, generator=generator) for _ in range(passes)])[:length]
