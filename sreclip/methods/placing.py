"""Classes placed among the images: a Gaussian each, beside the logits of the texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.config.sre_clip import SreClipSettings
from sreclip.methods.data import FitData
from sreclip.methods.logits import score_in_blocks, widened
from sreclip.methods.source_evidence import (
    Score,
    SourceEvidence,
    certainty,
    source_evidence,
)
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.class_bias import ClassBias, class_bias
from sreclip.refinement.gaussians import assigned, neighbour_graph, pulled
from sreclip.refinement.neighbours import neighbour_search
from sreclip.refinement.pairs import pairs_of

# Of these many images per class neighbours count half.
HALF_PULLED = 30.0
HALVINGS = 40
# Of a class's share of the images, by which it may miss the share that the bias aims at.
TOLERANCE = 1e-3
CHUNK = 1 << 14
# Fewer images than this are none.
NONE = 1e-12
MOST_TEMPERATURE = 100.0


@dataclass(frozen=True)
class Gaussians:
    r"""What the Gaussians add to the logits: :math:`f v_c - o_c - r_c \|f T\|^2`.

    Attributes
    ----------
    vectors, offsets, radii
        v, ``(n_classes, dim)``; o and r, ``(n_classes,)``.
    whitener
        T, ``(dim, dim)``.
    """

    vectors: Tensor
    offsets: Tensor
    radii: Tensor
    whitener: Tensor

    @classmethod
    def about(cls, means: Tensor, counts: Tensor, whitener: Tensor, weight: float) -> Gaussians:
        r"""Return :math:`-\frac w2 \frac{n_c}{n_c + 1} \|(f - \mu_c) T\|^2` as such terms."""
        placed, radii = means @ whitener, weight / 2 * certainty(counts)
        vectors = (2 * radii[:, None] * placed) @ whitener.T
        return cls(vectors, radii * placed.square().sum(dim=1), radii, whitener)

    def __call__(self, features: Tensor) -> Tensor:
        """Return the terms of some images, ``(n_images, n_classes)``."""
        lengths = (features @ self.whitener).square().sum(dim=1, keepdim=True)
        return features @ self.vectors.T - self.offsets - lengths * self.radii


@dataclass(frozen=True)
class Placed:
    """The state that scores images, and what the fit found.

    ``gaussians`` is None where nothing is placed. ``labels`` are the target's predictions, by the
    logits of the state and the nearest images; None without a fit.
    """

    gaussians: Gaussians | None
    bias: ClassBias
    temperature: float
    labels: Candidates | None = None
    facts: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Placed:
        """Return what gave these `tensors`."""
        names = [each.name for each in fields(Gaussians)]
        gaussians = Gaussians(*(tensors[n] for n in names)) if names[0] in tensors else None
        return cls(gaussians, ClassBias.from_tensors(tensors), float(tensors["temperature"]))

    def logits(self, features: Tensor, score: Score) -> Tensor:
        """Return the logits of images ``(n_images, dim)``; neighbours do not count."""
        logits = score(features) + self.bias.bias
        if self.gaussians:
            logits += self.gaussians(features)
        return logits / self.temperature

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, for safetensors."""
        found = self.bias.tensors() | {"temperature": self.bias.bias.new_tensor(self.temperature)}
        if self.gaussians:
            found |= vars(self.gaussians)
        return found


class Placing:
    """One fit: places the classes, again and again, and labels the target."""

    def __init__(self, data: FitData, score: Score, settings: SreClipSettings) -> None:
        self.data, self.score, self.settings = data, score, settings
        self.features = widened(data.target_features)
        self.known, self.n_classes = data.text.known, len(data.text.known)
        self.per_class = len(self.features) / self.n_classes
        self.gaussians: Gaussians | None = None

    @torch.no_grad()
    def run(self) -> Placed:
        """Return the state and the labels."""
        settings, facts = self.settings, {}
        self.frozen_bias, self.frozen = bias, predictions = self.biased_predictions()
        if settings.trust and settings.placements:
            facts = self.place()
            bias, predictions = self.biased_predictions()
        labels = self.pulled(predictions) if settings.pull else predictions
        temperature = self.temperature(labels) if settings.text_confidence else 1.0
        cooled = replace(labels, log_p=(labels.log_p / temperature).log_softmax(dim=1))
        facts["temperature"] = temperature
        return Placed(self.gaussians, bias, temperature, cooled, facts)

    def biased_predictions(self) -> tuple[ClassBias, Candidates]:
        """Return the bias towards equal shares, and the predictions with it.

        They are those of the logits and the Gaussians there are.
        """
        settings, gaussians = self.settings, self.gaussians

        def score(images: Tensor) -> Tensor:
            logits = self.score(images)
            return logits + gaussians(images) if gaussians else logits

        blocks = score_in_blocks(score, self.features, self.n_classes)
        predictions = Candidates.from_blocks(blocks, len(self.features), self.n_classes)
        bias = class_bias(
            predictions, settings.class_bias, most_lift=settings.most_lift, tolerance=TOLERANCE
        )
        return bias, bias.added_to(predictions)

    def place(self) -> dict[str, float]:
        """Place the classes ``placements`` times; return what was found on the way."""
        settings, known = self.settings, self.known
        counts, target_means = self.target_means(self.frozen)
        source = source_evidence(self.data, self.score, self.target_covariance)
        # Of a known class: its images in the domain that has fewer.
        shared = torch.minimum(source.counts, counts) * known
        shared /= shared.sum().clamp_min(NONE)
        shift = shared @ (target_means - source.means)
        transfer = correlation(source, target_means, shared)
        gate = 1.0
        if settings.full_transfer:
            gate = min(1.0, max(0.0, transfer) / settings.full_transfer)
        weight = min(settings.trust * source.weight, settings.most_weight)
        weight *= self.per_class / (self.per_class + 1)
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
                counts, target_means = self.target_means(self.biased_predictions()[1])
                placed = weighted(first, prior, target_means, counts)
                n = certain + counts**2 / (prior + counts)
            self.gaussians = Gaussians.about(placed, n.clamp_min(1.0), source.whitener, weight)
        return {
            "held_out_weight": source.weight,
            "transfer": transfer,
            "gate": gate,
            "weight": weight,
        }

    def target_means(
        self, predictions: Candidates, sharpness: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return images per class, ``(n_classes,)``, and their means, ``(n_classes, dim)``.

        Images per class are the sums of the predictions; a mean has the predictions to the power
        of ``sharpness`` as weights.
        """
        pairs = pairs_of(self.features, None, predictions)
        plain = assigned(predictions.log_p)
        sharp = plain ** (sharpness or self.settings.sharpness)
        totals = pairs.totals(sharp).clamp_min(NONE)
        return pairs.totals(plain), pairs.sums(sharp) / totals[:, None]

    def target_covariance(self) -> Tensor:
        """Return the covariance of target images about the means of what they may be."""
        counts, means = (part.double() for part in self.target_means(self.frozen, 1.0))
        total = means.new_zeros(means.shape[1], means.shape[1])
        for images in self.features.split(CHUNK):
            total.addmm_(images.double().T, images.double())
        return (total - (counts[:, None] * means).T @ means) / len(self.features)

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
        graph, scale = neighbour_graph(self.features, search)
        scale *= self.settings.pull * self.per_class / (self.per_class + HALF_PULLED)
        pairs = pairs_of(self.features, graph, predictions)
        logits = torch.empty_like(predictions.log_p)
        pulled(pairs, predictions.log_p, scale, assigned(predictions.log_p), logits)
        return replace(predictions, log_p=logits.log_softmax(dim=1))

    def temperature(self, labels: Candidates) -> float:
        """Return the temperature that takes confidence part of the way to the texts'.

        With it the mean probability of the predicted classes is that of the labels, and by
        ``text_confidence`` of the way that of the texts' own biased predictions for these classes.
        """
        best = labels.log_p.argmax(dim=1, keepdim=True)
        own = float(labels.log_p.gather(1, best).exp().mean())
        classes = labels.classes.gather(1, best).long()
        total = 0.0
        for rows in labels.chunks():
            logits = self.score(self.features[rows]) + self.frozen_bias.bias
            total += float(logits.softmax(dim=1).gather(1, classes[rows]).sum())
        wanted = own + self.settings.text_confidence * (total / len(labels) - own)
        low, high = 0.0, math.log(MOST_TEMPERATURE)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            p = (labels.log_p / math.exp(middle)).log_softmax(dim=1).gather(1, best).exp()
            low, high = (middle, high) if float(p.mean()) > wanted else (low, middle)
        return math.exp(low)


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
