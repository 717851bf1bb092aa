"""Classes placed among the images: a Gaussian each, beside the logits of the texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from sreclip.methods.data import ClassText
from sreclip.methods.source_evidence import Score, certainty
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.class_bias import ClassBias


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
    def about(
        cls, means: Tensor, counts: Tensor, whitener: Tensor, weight: float, uncertainty: float
    ) -> Gaussians:
        r"""Return such terms: the logarithm of the density of an image, of a mean of n images.

        .. math:: -\frac w2 \left(\frac{n_c}{n_c + 1} \|(f - \mu_c) T\|^2
            + u d \log \frac{n_c + 1}{n_c}\right)

        u is ``uncertainty``, d the dimension.
        """
        placed, radii = means @ whitener, weight / 2 * certainty(counts)
        vectors = (2 * radii[:, None] * placed) @ whitener.T
        volumes = weight / 2 * uncertainty * len(whitener) * (1 / counts).log1p()
        return cls(vectors, radii * placed.square().sum(dim=1) + volumes, radii, whitener)

    def __call__(self, features: Tensor) -> Tensor:
        """Return the terms of some images, ``(n_images, n_classes)``."""
        lengths = (features @ self.whitener).square().sum(dim=1, keepdim=True)
        terms = torch.addmm(-self.offsets, features, self.vectors.T)
        return terms.addmm_(lengths, -self.radii[None])


@dataclass(frozen=True)
class TextScore:
    """The logits of the texts."""

    text: ClassText

    def __call__(self, features: Tensor) -> Tensor:
        """Return the logits of some images, ``(n_images, n_classes)``."""
        return self.text.zero_shot_logits(features)


@dataclass(frozen=True)
class Placed:
    """The state that scores images, and what the fit found.

    ``gaussians`` is None where nothing is placed, ``texts`` where the source teaches none.
    ``labels`` are the target's predictions, by the logits of the state and the nearest images; None
    without a fit.
    """

    gaussians: Gaussians | None
    bias: ClassBias
    temperature: float
    texts: Tensor | None = None
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
        return biased(added(score, self.gaussians), self.bias)(features) / self.temperature

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, for safetensors."""
        found = self.bias.tensors() | {"temperature": self.bias.bias.new_tensor(self.temperature)}
        if self.gaussians:
            found |= vars(self.gaussians)
        return found


def added(score: Score, gaussians: Gaussians | None) -> Score:
    """Return the logits of ``score`` with what Gaussians add."""
    if gaussians is None:
        return score
    if isinstance(score, TextScore):  # linear as well: one product is enough
        texts = score.text.logit_scale * score.text.features
        return replace(gaussians, vectors=gaussians.vectors + texts)
    return lambda images: score(images) + gaussians(images)


def biased(score: Score, bias: ClassBias) -> Score:
    """Return the logits of ``score`` with a bias."""
    return lambda images: score(images) + bias.bias
