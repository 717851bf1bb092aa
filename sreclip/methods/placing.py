"""How `sre_clip` places classes: by texts, relation, source and target together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.config.sre_clip import SreClipSettings
from sreclip.methods.confidence import agreement, confidence, temperature_for
from sreclip.methods.data import FitData
from sreclip.methods.logits import widened
from sreclip.methods.placed import Gaussians, Placed, TextScore, added, biased
from sreclip.methods.source_evidence import (
    Score,
    SourceEvidence,
    certainty,
    source_evidence,
)
from sreclip.methods.target_images import NONE, TargetImages
from sreclip.methods.taught_texts import taught_texts
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.class_bias import ClassBias
from sreclip.refinement.gaussians import assigned, neighbour_graph, pulled
from sreclip.refinement.neighbours import neighbour_search
from sreclip.refinement.pairs import pairs_of

# Of these many images per class neighbours count half.
HALF_PULLED = 30.0
# Texts are taught in full from this part of the transfer from which source means count in full.
TAUGHT_FULLY = 0.25


@dataclass(frozen=True)
class Evidence:
    """What the texts and the source say of the target.

    Attributes
    ----------
    bias
        What the predictions of the texts need.
    source
        What the source says.
    transfer
        How alike the class means of both domains are, see `correlation`.
    gate
        How far the source counts.
    """

    bias: ClassBias
    source: SourceEvidence
    transfer: float
    gate: float


@dataclass(frozen=True)
class Fitted:
    """Classes placed among some target images, and what these are by then."""

    gaussians: Gaussians | None
    bias: ClassBias
    predictions: Candidates

    def scored(self, score: Score) -> Score:
        """Return the logits of images by these places, ``score`` being those of the texts."""
        return biased(added(score, self.gaussians), self.bias)


class Placing:
    """One fit: places the classes, again and again, and labels the target.

    ``score`` gives the logits of images. Without it they are those of the texts, which the source
    may teach.
    """

    def __init__(self, data: FitData, settings: SreClipSettings, score: Score | None) -> None:
        self.data, self.settings = data, settings
        self.known = data.text.known
        self.most_taught = settings.taught if score is None else 0.0
        self.places = settings.trust > 0 and settings.placements > 0
        self.score = score or TextScore(data.text)
        self.target = TargetImages(
            data.target_features,
            self.known,
            settings.class_bias,
            settings.most_lift,
        )

    @torch.no_grad()
    def run(self) -> Placed:
        """Return the state and the labels."""
        settings, texts = self.settings, None
        predictions, self.evidence = self.judged()
        gate = opened(self.evidence.transfer, TAUGHT_FULLY * settings.full_transfer)
        if part := self.most_taught * gate:
            texts = self.taught(part)
            self.score = TextScore(replace(self.data.text, features=texts))
            predictions, self.evidence = self.judged(self.evidence)
        evidence = self.evidence
        facts = {
            "taught": part,
            "held_out_weight": evidence.source.weight,
            "transfer": evidence.transfer,
            "gate": evidence.gate,
            "weight": self.weight(self.target),
        }
        fitted = self.placed(self.target, evidence.bias, predictions)
        del predictions  # with many images they are large
        if settings.pull:
            fitted = replace(fitted, predictions=self.pulled(fitted.predictions))
        labels = fitted.predictions
        facts["temperature"] = 1.0
        if settings.calibrated:
            facts["agreement"] = self.agreement()
            texts_alone = biased(self.score, evidence.bias)
            wanted = confidence(labels, self.target.features, texts_alone, facts["agreement"])
            facts["temperature"] = temperature_for(labels, wanted)
            log_p = (labels.log_p / facts["temperature"]).log_softmax(dim=1)
            labels = replace(labels, log_p=log_p)
        return Placed(fitted.gaussians, fitted.bias, facts["temperature"], texts, labels, facts)

    def judged(self, before: Evidence | None = None) -> tuple[Candidates, Evidence]:
        """Return what the target's images are by the texts, and how alike the source is.

        ``before`` is what other texts said; what the source says stays.
        """
        full = self.settings.full_transfer
        bias, predictions = self.target.predicted(self.score, before.bias if before else None)
        source = (
            before.source
            if before
            else source_evidence(self.data, self.score, lambda: self.target.covariance(predictions))
        )
        counts, means = self.target.means(predictions, self.settings.sharpness)
        transfer = correlation(source, means, self.shared(source, counts))
        return predictions, Evidence(bias, source, transfer, opened(transfer, full))

    def shared(self, source: SourceEvidence, counts: Tensor) -> Tensor:
        """Return the weights of known classes: each by its images in the domain that has fewer."""
        shared = torch.minimum(source.counts, counts) * self.known
        return shared / shared.sum().clamp_min(NONE)

    def taught(self, part: float) -> Tensor:
        """Return the texts, those of known classes moved part of the way to what is taught."""
        text, found = self.data.text.features, self.data.text.features.clone()
        vectors = taught_texts(self.data, self.settings.text_anchor)
        parts = part * certainty(self.evidence.source.counts[self.known])
        found[self.known] = torch.lerp(text[self.known], vectors, parts[:, None])
        return found

    def weight(self, target: TargetImages) -> float:
        """Return the weight of the Gaussians."""
        settings, n = self.settings, target.per_class
        weight = min(settings.trust * self.evidence.source.weight, settings.most_weight)
        return weight * n / (n + 1)

    def placed(self, target: TargetImages, bias: ClassBias, predictions: Candidates) -> Fitted:
        """Place the classes ``placements`` times among images, which are first what texts say."""
        settings, known = self.settings, self.known
        if not self.places:
            return Fitted(None, bias, predictions)
        source, gate = self.evidence.source, self.evidence.gate
        counts, target_means = target.means(predictions, settings.sharpness)
        shift = self.shared(source, counts) @ (target_means - source.means)
        # Known classes as the source has them, the less the gate is open the more as the target's.
        from_source = gate * (source.means + shift) + (1 - gate) * target_means
        first = torch.where(known[:, None], from_source, target_means)
        certain = torch.where(known, source.counts, counts)
        if settings.relation_images:
            first, certain = self.related(source, shift, first, certain)
        prior = settings.prior_images / max(gate, NONE)
        placed, n = first, certain
        for number in range(settings.placements):
            if number:
                counts, target_means = target.means(predictions, settings.sharpness)
                placed = weighted(first, prior, target_means, counts)
                n = certain + counts**2 / (prior + counts)
            gaussians = Gaussians.about(
                placed,
                n.clamp_min(1.0),
                source.whitener,
                self.weight(target),
                settings.uncertainty,
            )
            bias, predictions = target.predicted(added(self.score, gaussians), bias)
        return Fitted(gaussians, bias, predictions)

    def related(
        self, source: SourceEvidence, shift: Tensor, means: Tensor, counts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Add ``relation_images`` images at the place that the relation predicts.

        An unknown class is at its text, moved as the known classes are from theirs, each weighted
        by the softmax of its relation.
        """
        settings, known = self.settings, self.known
        text = self.data.text.features
        away = (source.means - text)[known] + shift
        rows = self.data.graph.relation[~known][:, known] / settings.placing_temperature
        predicted = text[~known] + rows.softmax(dim=1) @ away
        n = counts[~known]
        found, total = means.clone(), counts.clone()
        found[~known] = weighted(predicted, settings.relation_images, means[~known], n)
        total[~known] = n + settings.relation_images
        return found, total

    def pulled(self, predictions: Candidates) -> Candidates:
        """Return predictions that the nearest images pull; less where classes have few images."""
        search = neighbour_search(self.settings.neighbours)
        graph, scale = neighbour_graph(widened(self.target.features), search)
        scale *= self.settings.pull * self.target.per_class / (self.target.per_class + HALF_PULLED)
        pairs = pairs_of(self.target.features, graph, predictions)
        logits = torch.empty_like(predictions.log_p)
        pulled(pairs, predictions.log_p, scale, assigned(predictions.log_p), logits)
        return replace(predictions, log_p=logits.log_softmax(dim=1))

    def agreement(self) -> float:
        """Return how far two halves of the target agree, each with classes placed by itself alone.

        1 where there are no two images.
        """
        if len(self.target) < 2:
            return 1.0
        halves = (self.target.half(number) for number in (0, 1))
        scores = (
            self.placed(half, *half.predicted(self.score)).scored(self.score) for half in halves
        )
        return agreement(self.target.features, len(self.known), *scores)


def opened(transfer: float, full: float) -> float:
    """Return how far a gate is open that is fully open from a transfer of ``full`` on."""
    return min(1.0, max(0.0, transfer) / full) if full else 1.0


def weighted(
    first: Tensor, first_counts: Tensor | float, second: Tensor, second_counts: Tensor
) -> Tensor:
    """Return the mean of two means, each of its number of images."""
    share = (first_counts / (first_counts + second_counts).clamp_min(NONE))[:, None]
    return share * first + (1 - share) * second


def correlation(source: SourceEvidence, target_means: Tensor, weights: Tensor) -> float:
    """Return how alike source and target means are, once centred.

    The cosine of both tables of whitened means, the mean over classes taken off; 0 where there is
    one class. ``weights`` are those of the classes, ``(n_classes,)``, of sum 1.
    """
    weights = weights[:, None]

    def centred(means: Tensor) -> Tensor:
        return weights.sqrt() * ((means - (weights * means).sum(dim=0)) @ source.whitener)

    one, two = centred(source.means), centred(target_means)
    return float(F.cosine_similarity(one.flatten(), two.flatten(), dim=0))
