"""The unlabelled target as a fit sees it: predictions, and the class means that follow."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from sreclip.methods.logits import score_in_blocks
from sreclip.methods.source_evidence import Score
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.class_bias import ClassBias, class_bias
from sreclip.refinement.gaussians import assigned
from sreclip.refinement.pairs import pairs_of

# Of a class's share of the images, by which it may miss the share that the bias aims at.
TOLERANCE = 1e-3
CHUNK = 1 << 14
# Fewer images than this are none.
NONE = 1e-12


@dataclass(frozen=True)
class TargetImages:
    """All target images or some, and the bias that their predictions get.

    Attributes
    ----------
    features
        ``(n_images, dim)``; may be float16.
    known
        The known classes, ``(n_classes,)``: the bias leaves how many images are of these.
    strength, most_lift
        Of the class bias, see `sreclip.refinement.class_bias`.
    """

    features: Tensor
    known: Tensor
    strength: float
    most_lift: float

    def __len__(self) -> int:
        return len(self.features)

    @property
    def per_class(self) -> float:
        """Images per class."""
        return len(self) / len(self.known)

    def half(self, number: int) -> TargetImages:
        """Return every second image, from the first or from the second on."""
        return replace(self, features=self.features[number::2])

    def predicted(
        self, score: Score, start: ClassBias | None = None
    ) -> tuple[ClassBias, Candidates]:
        """Return the bias of some logits, and the predictions with it.

        It makes known classes equal among themselves, and the unknown ones. ``start`` is one of
        similar logits.
        """
        blocks = score_in_blocks(score, self.features, len(self.known))
        predictions = Candidates.from_blocks(blocks, len(self), len(self.known))
        bias = class_bias(
            predictions,
            self.strength,
            most_lift=self.most_lift,
            tolerance=TOLERANCE,
            group=self.known,
            start=start,
        )
        return bias, bias.added_to(predictions)

    def means(self, predictions: Candidates, sharpness: float) -> tuple[Tensor, Tensor]:
        """Return images per class, ``(n_classes,)``, and their means, ``(n_classes, dim)``.

        Images per class are the sums of the predictions; a mean has the predictions to the power
        of ``sharpness`` as weights.
        """
        pairs = pairs_of(self.features, None, predictions)
        plain = assigned(predictions.log_p)
        sharp = plain**sharpness
        totals = pairs.totals(sharp).clamp_min(NONE)
        return pairs.totals(plain), pairs.sums(sharp) / totals[:, None]

    def covariance(self, predictions: Candidates) -> Tensor:
        """Return the covariance of the images about the means of what they may be."""
        counts, means = (part.double() for part in self.means(predictions, 1.0))
        total = means.new_zeros(means.shape[1], means.shape[1])
        for images in self.features.split(CHUNK):
            total.addmm_(images.double().T, images.double())
        return (total - (counts[:, None] * means).T @ means) / len(self)
