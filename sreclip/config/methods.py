"""Settings of the methods, one model a method; formulas are in ``docs/methods.md``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sreclip.methods import METHODS
from sreclip.registry import unknown_name

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


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


class LinearProbeSettings(Settings):
    """Multinomial regression on known classes; unknown ones keep their text vectors."""

    l2_low: Positive = Field(1e-4, description="Weakest L2 penalty tried.")
    l2_high: Positive = Field(10.0, description="Strongest L2 penalty tried.")
    l2_count: int = Field(6, ge=1, description="Penalties tried, from low to high by equal ratios.")
    holdout: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="Share of each class's source images that chooses the penalty."
    )


class TipAdapterSettings(Settings):
    """Tip-Adapter: a cache of labelled source features."""

    alpha: NonNegative = Field(1.17, description="Weight of the cache.")
    beta: NonNegative = Field(1.0, description="Sharpness of the affinity to a cached feature.")
    shots: int = Field(16, ge=1, description="Cached source images of each known class, at most.")
    centered: bool = Field(
        True,
        description="Keep an image's mean known logit; without it (the original) the cache lifts "
        "known classes alone.",
    )


class TipAdapterFSettings(TipAdapterSettings):
    """Tip-Adapter-F: Tip-Adapter with trained keys."""

    lr: Positive = Field(1e-3, description="AdamW's learning rate at the start of its cosine.")
    epochs: int = Field(20, ge=0, description="Passes over the cached images.")
    batch_size: int = Field(256, ge=1, description="Cached images a step.")


class TaskResSettings(Settings):
    """TaskRes: a learned residual on the class vectors."""

    alpha: NonNegative = Field(0.5, description="Weight of the residual.")
    lr: Positive = Field(2e-3, description="Adam's learning rate.")
    steps: int = Field(300, ge=0, description="Optimisation steps.")
    batch_size: int = Field(256, ge=1, description="Source images a step.")


class TransClipSettings(Settings):
    """TransCLIP, zero-shot form; nothing to set."""


class ZlapSettings(Settings):
    """ZLaP: label propagation from class texts to target images."""

    k: int = Field(
        5, ge=1, description="Nearest images (itself among them) and nearest texts of an image."
    )
    gamma: Positive = Field(5.0, description="Power of the cosines between images and texts.")
    alpha: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.3, description="Share of a score that comes from neighbours."
    )
    tolerance: Positive = Field(
        1e-6, description="Relative residual at which the conjugate gradients stop."
    )


class GcnZslSettings(Settings):
    """zGCN: a graph convolution regresses known classifiers and gives unknown ones."""

    width: int = Field(1024, ge=1, description="Hidden width of the graph convolution.")
    dropout: Dropout = Field(0.5, description="Dropout before each graph convolution.")
    lr: Positive = Field(1e-3, description="Adam's learning rate.")
    weight_decay: NonNegative = Field(5e-4, description="Adam's weight decay.")
    steps: int = Field(300, ge=0, description="Optimisation steps, each on the whole graph.")


class SreClipReferenceSettings(Settings):
    """SRE-CLIP after its authors' published code, term by term."""

    width: int = Field(1024, ge=1, description="Width of adapter output and prototypes.")
    gcn_width: int = Field(1024, ge=1, description="Hidden width of the graph convolution.")
    dropout: Dropout = Field(0.5, description="Dropout before each graph convolution.")
    temperature: Positive = Field(0.05, description="T: logits are cosines divided by it.")
    rank: NonNegative = Field(100.0, description="Weight of the rank loss in the source loss.")
    rank_pairs: Literal["as_intended", "as_coded"] = Field(
        "as_intended",
        description="Class distances the rank loss compares: between classes, or (as in the "
        "authors' code) only those of a class to itself, which are float noise.",
    )
    rank_sample: int = Field(
        4096, ge=1, description="Pairs of class distances drawn a step where there are too many."
    )
    relation: NonNegative = Field(
        0.01, description="Weight of the semantic relation structure in the source loss."
    )
    source: NonNegative = Field(1.5, description="Weight of the source loss after the warm-up.")
    entropy: NonNegative = Field(3.0, description="Weight of the target predictions' entropy.")
    diversity: NonNegative = Field(
        5.0, description="Weight of the entropy of the mean prediction over the bank."
    )
    bank_size: int = Field(768, ge=1, description="Target features in the bank.")
    balance: NonNegative = Field(5.0, description="Weight of the limited balance u + c^2 / u.")
    c: Share = Field(
        0.3,
        description="Unknown mass that the balance aims at: the authors' number for I2AwA "
        "(0.82 for I2WebV).",
    )
    adapter_lr: Positive = Field(1e-3, description="SGD's learning rate for the adapter.")
    gcn_lr: Positive = Field(5e-3, description="SGD's learning rate for the graph convolution.")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="Nesterov momentum.")
    weight_decay: NonNegative = Field(1e-4, description="SGD's weight decay.")
    decay: NonNegative = Field(
        1e-3, description="The rate after the warm-up is (1 + decay i)^-decay_power."
    )
    decay_power: NonNegative = Field(0.75, description="Power of that decay.")
    warmup_steps: int = Field(600, ge=0, description="First steps, with the source loss alone.")
    steps: int = Field(3000, ge=0, description="Optimisation steps, warm-up included.")
    batch_size: int = Field(256, ge=1, description="Source images and target images a step.")


class SreClipSettings(Settings):
    """SRE-CLIP as rebuilt here: it starts as zero-shot CLIP and is held close to it."""

    image_scale: NonNegative = Field(0.5, description="a_v: weight of the image-side residual.")
    class_scale: NonNegative = Field(0.5, description="a_e: weight of the class-side residual.")
    width: int = Field(64, ge=1, description="Width of attention and bottleneck MLP.")
    gcn_width: int = Field(128, ge=1, description="Hidden width of the graph convolution.")
    dropout: Dropout = Field(0.3, description="Dropout before each graph convolution.")
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
    linear_probe: LinearProbeSettings = LinearProbeSettings()
    tip_adapter: TipAdapterSettings = TipAdapterSettings()
    tip_adapter_f: TipAdapterFSettings = TipAdapterFSettings()
    taskres: TaskResSettings = TaskResSettings()
    transclip: TransClipSettings = TransClipSettings()
    zlap: ZlapSettings = ZlapSettings()
    gcn_zsl: GcnZslSettings = GcnZslSettings()
    sre_clip_reference: SreClipReferenceSettings = SreClipReferenceSettings()
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
