"""UODTN: bGCN, with source and target images matched and drawn together."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sreclip.config.methods import UodtnSettings
from sreclip.methods.bgcn import Bgcn
from sreclip.methods.data import FitData, batches
from sreclip.methods.logits import widened
from sreclip.methods.losses import matched_pair_loss


class Uodtn(Bgcn):
    """bGCN plus the distance between matched images of the two domains.

    Before training each target image is paired with a source image (`match_images`), and batches
    are batches of pairs. A pair counts as matched in a step when its two predictions agree,
    ``sum over known c of p_source(c) p_target(c) > agreement``. Added to bGCN's loss is
    ``matching`` times the mean Euclidean distance ``|v_source - v_target|`` of matched pairs; the
    balance takes the target images of the other pairs only.

    Source: Zhuo et al., "Unsupervised open domain recognition by semantic discrepancy
    minimization", CVPR 2019, and its authors' code (``junbaoZHUO/UODTN``). The paper and the
    code's script for domain adaptation measure the distance of matched features; the code's script
    for UODTN instead has an adversarial loss between all source and the matched target images,
    weighted by their entropies. This is the paper's form. Weight 0.7, c and the balance's
    weight are those of that script; agreement 0.6 is that of the distance and of the balance (for
    the adversarial loss it is 0.5). The code also requires a largest known probability of the
    target image over 0.5, which an agreement over 0.6 implies.

    Deviations besides bGCN's: images are matched by cosine, not by L1 distance; in chunks of 1,024
    pairs, not 8,500; and when the source is the larger domain, target images are repeated.
    """

    title = "UODTN"
    citation = "Zhuo et al., CVPR 2019"
    settings: UodtnSettings

    def _pairs(self, data: FitData, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        source_rows, target_rows = match_images(
            data.source_features, data.target_features, self.settings.match_chunk, generator
        )
        for rows in batches(len(source_rows), self.settings.batch_size, generator):
            yield source_rows[rows], target_rows[rows]

    def _target_terms(
        self, source: Tensor, target: Tensor, source_logits: Tensor, target_logits: Tensor
    ) -> dict[str, tuple[float, Tensor]]:
        agreed = agreement(source_logits, target_logits, self.text_.known)
        matched = agreed.detach() > self.settings.agreement
        terms = self._balance_term(target_logits[~matched])
        if weight := self.settings.matching:
            terms["matching"] = (weight, matched_pair_loss(source, target, matched))
        return terms


def agreement(source_logits: Tensor, target_logits: Tensor, known: Tensor) -> Tensor:
    """Return ``sum over known c of p_source(c) p_target(c)``, ``(n_pairs,)``.

    The softmaxes are over all classes; the logits are ``(n_pairs, n_classes)``.
    """
    source, target = (logits.softmax(dim=1)[:, known] for logits in (source_logits, target_logits))
    return (source * target).sum(dim=1)


def match_images(
    source: Tensor, target: Tensor, chunk: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Pair all images of both domains, those of the smaller one more than once.

    The images are shuffled, the smaller domain's as often as needed, and both are cut into the
    same number of chunks of at most ``chunk`` images; in each, pairs are the one-to-one assignment
    with the largest sum of cosines. Returns the rows in both, ``(max(n_source, n_target),)``.
    """
    n_pairs = max(len(source), len(target))
    n_chunks = math.ceil(n_pairs / chunk)
    rows = []
    for n in (len(source), len(target)):
        passes = [torch.randperm(n, generator=generator) for _ in range(math.ceil(n_pairs / n))]
        rows.append(torch.cat(passes)[:n_pairs])
    source_rows, target_rows = rows
    matched = []
    for first, second in zip(
        source_rows.tensor_split(n_chunks), target_rows.tensor_split(n_chunks), strict=True
    ):
        cosines = widened(source[first]) @ widened(target[second]).T
        _, columns = linear_sum_assignment(cosines.cpu().numpy(), maximize=True)
        matched.append(second[torch.from_numpy(columns)])
    return source_rows, torch.cat(matched)
