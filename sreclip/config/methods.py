"""Settings of the methods, one model a method; formulas are in ``docs/methods.md``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sreclip.methods import METHODS
from sreclip.registry import unknown_name

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Settings of one method."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ZeroShotSettings(Settings):
    """Frozen CLIP; nothing to set."""


class ClipAdapterSettings(Settings):
    """CLIP-Adapter on the image side."""

    ratio: Share = Field(0.2, description="Share of the adapted feature in the mix.")
    reduction: int = Field(4, ge=1, description="The bottleneck's width is dim / reduction.")
    lr: Positive = Field(1e-3, description="Adam's learning rate.")
    steps: int = Field(300, ge=0, description="Optimisation steps.")
    batch_size: int = Field(256, ge=1, description="Source images a step.")


class SreClipSettings(Settings):
    """SRE-CLIP as rebuilt here: it starts as zero-shot CLIP and is held close to it."""

    image_scale: NonNegative = Field(0.5, description="a_v: weight of the image-side residual.")
    class_scale: NonNegative = Field(0.5, description="a_e: weight of the class-side residual.")
    width: int = Field(64, ge=1, description="Width of attention and bottleneck MLP.")
    gcn_width: int = Field(128, ge=1, description="Hidden width of the graph convolution.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.3, description="Dropout before each graph convolution."
    )
    attention: bool = Field(True, description="Attention of the image over class and node texts.")
    source: NonNegative = Field(1.0, description="Weight of the source cross-entropy over known.")
    relation: NonNegative = Field(0.1, description="Weight of the semantic relation structure.")
    relation_temperature: Positive = Field(
        0.1, description="tau_r: temperature of the softmax over a class's relations."
    )
    rank: NonNegative = Field(1.0, description="Weight of the rank loss on class vectors.")
    rank_pairs: int = Field(4096, ge=1, description="Pairs of class distances sampled a step.")
    retention: NonNegative = Field(
        0.0, description="Weight of the KL from the zero-shot distribution on target images."
    )
    unknown_retention: NonNegative = Field(
        3.0, description="Weight of the same KL among unknown classes alone, on all images."
    )
    calibration: bool = Field(
        True,
        description="Shift unknown logits so that as many target images go to unknown classes as "
        "with the frozen model.",
    )
    anchor: NonNegative = Field(1.0, description="Weight of 1 - e_c.w_c.")
    self_training: NonNegative = Field(1.0, description="Weight of KL to the refined soft labels.")
    rounds: int = Field(2, ge=0, description="Rounds of self-training after the first fit.")
    entropy: NonNegative = Field(0.0, description="Weight of the target predictions' entropy.")
    diversity: NonNegative = Field(0.0, description="Weight of the diversity over a bank.")
    bank_size: int = Field(768, ge=1, description="Target predictions in the diversity bank.")
    balance: NonNegative = Field(
        0.0, description="Weight of the limited balance of unknown mass (prior: frozen model's)."
    )
    lr: Positive = Field(1e-3, description="AdamW's learning rate.")
    weight_decay: NonNegative = Field(1e-4, description="AdamW's weight decay.")
    steps: int = Field(200, ge=0, description="Optimisation steps a round.")
    batch_size: int = Field(256, ge=1, description="Source images and target images a step.")


class MethodsSettings(Settings):
    """Which methods run, and the settings of each."""

    run: list[str] = Field(
        ["zero_shot", "clip_adapter", "sre_clip"],
        min_length=1,
        description="Methods to compare, in the order of the table.",
    )
    zero_shot: ZeroShotSettings = ZeroShotSettings()
    clip_adapter: ClipAdapterSettings = ClipAdapterSettings()
    sre_clip: SreClipSettings = SreClipSettings()

    @field_validator("run")
    @classmethod
    def _registered(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in METHODS:
                raise ValueError(unknown_name("method", name, METHODS))
        if len(set(names)) != len(names):
            raise ValueError("a method is named twice")
        return names
