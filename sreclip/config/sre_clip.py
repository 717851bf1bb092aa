"""The settings of SRE-CLIP as rebuilt here."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from sreclip.config.method import (
    BankSize,
    Count,
    Diversity,
    Dropout,
    Entropy,
    Fraction,
    GcnSettings,
    GcnWidth,
    NonNegative,
    PairedBatch,
    Positive,
    Rank,
    RankSample,
)

# What trains the adapters of SRE-CLIP, and what switches each part off.
TRAINED: dict[str, dict[str, Any]] = {
    "relation structure": {"relation": 0.0},
    "rank": {"rank": 0.0},
    "retention": {"retention": 0.0, "unknown_retention": 0.0},
    "anchor": {"anchor": 0.0},
    "self-training": {"self_training": 0.0},
    **{part: {part: 0.0} for part in ("entropy", "diversity", "balance")},
    "attention": {"attention": False},
}


class SreClipSettings(GcnSettings):
    """SRE-CLIP as rebuilt here: the frozen model's logits and evidence beside them."""

    ablation: ClassVar = {
        "taught texts": {"taught": 0.0},
        "Gaussians": {"trust": 0.0},
        "target's own structure": {"placements": 1},
        "gate": {"full_transfer": 0.0},
        "relation": {"relation_images": 0.0},
        "class bias": {"class_bias": 0.0},
        "neighbours": {"pull": 0.0},
        "adapters": {"steps": 0},
        **TRAINED,
    }

    taught: Fraction = Field(
        0.5,
        description="How far the text of a known class goes towards what the source teaches; 0: "
        "texts stay.",
    )
    text_anchor: NonNegative = Field(
        0.01, description="Weight of the distance to the texts in what the source teaches."
    )
    trust: NonNegative = Field(
        0.5,
        description="Weight of the classes' Gaussians, as a part of what held-out source images "
        "call for; 0: no Gaussians.",
    )
    most_weight: NonNegative = Field(0.3, description="Largest weight of the Gaussians.")
    full_transfer: NonNegative = Field(
        0.5,
        description="Correlation of class means in source and target from which source means "
        "count in full; 0: always.",
    )
    uncertainty: Fraction = Field(
        0.2,
        description="How much a class pays for a mean of few images: part of the dimensions that "
        "such a mean is uncertain in.",
    )
    placements: int = Field(
        4,
        ge=0,
        description="How often classes are placed; the first time by the frozen model's "
        "predictions, then by the last ones.",
    )
    prior_images: NonNegative = Field(
        200.0, description="Target images that the first place of a class counts as much as."
    )
    sharpness: Positive = Field(
        1.5, description="Power of the predictions that weigh target images in a class's mean."
    )
    relation_images: NonNegative = Field(
        0.3,
        description="Images that count as much as the place that the relation to known classes "
        "predicts for an unknown class.",
    )
    placing_temperature: Positive = Field(
        0.05, description="Temperature of the softmax over relations to known classes for it."
    )
    class_bias: Fraction = Field(
        0.35,
        description="Part of the bias per class that makes the shares of known classes equal among "
        "themselves, and those of unknown ones.",
    )
    most_lift: float = Field(
        3.0,
        ge=1,
        description="By how many times the bias would raise a class's share of the images at most.",
    )
    pull: NonNegative = Field(1.0, description="Weight of the pull of the nearest target images.")
    calibrated: bool = Field(
        True,
        description="Confidence beyond the texts' own counts as far as two halves of the target "
        "agree; no prediction changes.",
    )
    steps: int = Field(
        0, ge=0, description="Optimization steps per round that train adapters; 0: no adapters."
    )
    rounds: int = Field(
        0, ge=0, description="Rounds of self-training of the adapters after the first fit."
    )
    image_scale: NonNegative = Field(0.5, description="a_v: weight of the image-side residual.")
    class_scale: NonNegative = Field(0.5, description="a_e: weight of the class-side residual.")
    width: Count = Field(64, description="Width of attention and bottleneck MLP.")
    gcn_width: GcnWidth = 128
    dropout: Dropout = 0.3
    attention: bool = Field(True, description="Attention of the image over class and node texts.")
    source: NonNegative = Field(1.0, description="Weight of the source cross-entropy over known.")
    relation: NonNegative = Field(0.1, description="Weight of the semantic relation structure.")
    relation_temperature: Positive = Field(
        0.1, description="tau_r: temperature of the softmax over a class's relations."
    )
    rank: Rank = 1.0
    rank_sample: RankSample = 4096
    retention: NonNegative = Field(
        0.0, description="Weight of the KL from the zero-shot distribution on target images."
    )
    unknown_retention: NonNegative = Field(
        3.0, description="Weight of the same KL among unknown classes alone, on all images."
    )
    anchor: NonNegative = Field(1.0, description="Weight of 1 - e_c.w_c.")
    self_training: NonNegative = Field(
        1.0, description="Weight of KL to the last round's labels of the target."
    )
    entropy: Entropy = 0.0
    diversity: Diversity = 0.0
    bank_size: BankSize = 768
    balance: NonNegative = Field(
        0.0, description="Weight of the limited balance u + c^2 / u; c is the frozen model's u."
    )
    lr: Positive = Field(1e-3, description="AdamW's learning rate.")
    weight_decay: NonNegative = Field(1e-4, description="AdamW's weight decay.")
    batch_size: PairedBatch = 256

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        """Parts that are on; without adapters nothing that trains them is."""
        parts = super().parts
        return parts if self.steps else {name: parts[name] for name in parts if name not in TRAINED}
