"""Settings of the methods that train no network; most of them see no source image."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sreclip.config.method import Calibration, Count, Fraction, NonNegative, Positive, Settings


class ZeroShotSettings(Settings):
    """Frozen CLIP."""


class ClassBiasSettings(Settings):
    """A bias per class that moves the target towards given class shares."""

    strength: Fraction = Field(
        0.5, description="Fraction of the bias that would bring the target to the shares."
    )
    uniform: Fraction = Field(
        1.0, description="Weight of equal shares; the rest is the shares that EM finds."
    )


class FrolicSettings(Settings):
    """Frolic's debiasing: the model's own prior is taken off its logits."""

    rounds: int = Field(11, ge=0, description="Times that the prior is estimated and taken off.")


class AdaptSettings(Settings):
    """ADAPT: Gaussians of one covariance from the target's own predictions."""

    per_class: Count = Field(6, description="Surest images per predicted class in the bank.")
    temperature: Positive = Field(
        1.0, description="What the Gaussians' log-probabilities are divided by."
    )


class EcalpSettings(Settings):
    """ECALP: label propagation from class texts and source images to target images."""

    calibration: Calibration = "zero_shot"
    text_k: Count = Field(3, description="Nearest class texts per target image.")
    source_k: Count = Field(8, description="Nearest source images per target image.")
    target_k: Count = Field(8, description="Nearest other target images per target image.")
    power: Positive = Field(10.0, description="Power of all cosines.")
    rounds: Count = Field(3, description="Rounds of propagation.")
    balanced: bool = Field(
        True,
        description="Normalize edges to texts, source images and target images apart; as published "
        "(false) source images drown the texts.",
    )


class GdaSettings(Settings):
    """GDA, base to new: Gaussians of one covariance from source and nearest target images."""

    alpha: NonNegative | None = Field(
        None,
        description="Weight of the Gaussians' logits; `null`: the one of a grid that serves known "
        "classes best when they are held out as unknown.",
    )
    nearest: Count = Field(64, description="Target images nearest the text of an unknown class.")
    copies: int = Field(
        0,
        ge=0,
        description="Copies of the text in the mean of an unknown class, beside those (published: "
        "16).",
    )
    shrunk: bool = Field(
        True,
        description="Invert the covariance with a ridge, as the authors do for few images, not as "
        "it is.",
    )


class InMapSettings(Settings):
    """InMaP: class vectors fitted to balanced pseudo labels of the target."""

    steps: int = Field(2000, ge=0, description="Gradient steps, each over all target images.")
    gamma: Fraction = Field(
        0.0,
        description="Power of the predicted class shares that pseudo labels are brought to; 0: "
        "equal shares.",
    )


class StatASettings(Settings):
    """StatA: Gaussians held near the class texts."""


class TransClipSettings(Settings):
    """TransCLIP, zero-shot form."""


class ZlapSettings(Settings):
    """ZLaP: label propagation from class texts to target images."""

    k: Count = Field(
        5, description="Nearest images (itself among them) and nearest texts per image."
    )
    gamma: Positive = Field(5.0, description="Power of the cosines between images and texts.")
    alpha: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.3, description="Fraction of a score that comes from neighbours."
    )
    tolerance: Positive = Field(1e-6, description="Bound on the relative residual of the solution.")
