"""Settings of the methods, one model a method; formulas are in ``docs/methods.md``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, field_validator

from sreclip.config.section import Section
from sreclip.methods import METHODS
from sreclip.refinement import Neighbours, Refinement
from sreclip.registry import nearest, unknown_name

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class Settings(Section):
    """Settings of one method: those here, which every method has, and its constructor's."""

    # What `sreclip ablate` takes away: a name, and the settings that switch it off.
    ablation: ClassVar[dict[str, dict[str, Any]]] = {}

    calibrated_stacking: bool = Field(
        False,
        description="After the fit, shift unknown logits so that as many target images go to "
        "unknown classes as with the frozen model.",
    )
    refine: Refinement = Field(
        "none", description="Transductive refinement of the target's logits, as the last step."
    )
    neighbours: Neighbours = Field(
        "exact",
        description="How the nearest target images are found, by the method or by `refine`; "
        "`approximate` misses some and saves time beyond 32,768 images.",
    )

    @property
    def constructor(self) -> dict[str, Any]:
        """Arguments of the method itself."""
        return self.model_dump(exclude=set(Settings.model_fields))

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        """Parts of `ablation` that are on in these settings."""
        return {
            part: overrides
            for part, overrides in self.ablation.items()
            if self.changed(overrides) != self
        }

    def changed(self, overrides: Mapping[str, Any]) -> Self:
        """Give these settings with some values replaced.

        Raises
        ------
        ValueError
            An unknown key or a value that is not allowed, by name.
        """
        for key in overrides:
            if key not in type(self).model_fields:
                guess = nearest(key, type(self).model_fields)
                raise ValueError(
                    f"{key}: unknown key; allowed: {', '.join(type(self).model_fields)}"
                    + (f" (did you mean {guess!r}?)" if guess else "")
                )
        try:
            return type(self).model_validate(self.model_dump() | dict(overrides))
        except ValidationError as error:
            problem = error.errors()[0]
            raise ValueError(
                f"{problem['loc'][0]}: {problem['msg']}, found {problem['input']!r}"
            ) from None


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
    shots: int = Field(
        0,
        ge=0,
        description="Source images of each known class that are taken, at most; 0: all. Images "
        "times known classes must not pass 67 million.",
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
    tolerance: Positive = Field(1e-6, description="Bound on the relative residual of the solution.")


class GcnZslSettings(Settings):
    """zGCN, dGCN: a graph convolution regresses known classifiers and gives unknown ones."""

    graph: Literal["hierarchy", "dense"] = Field(
        "hierarchy",
        description="Convolutions on parents and children, or (dGCN) on all descendants and then "
        "all ancestors.",
    )
    max_distance: int = Field(
        4, ge=1, description="Dense graph: relatives at this distance or beyond share a weight."
    )
    width: int = Field(1024, ge=1, description="Hidden width of the graph convolution.")
    dropout: Dropout = Field(0.5, description="Dropout before each graph convolution.")
    lr: Positive = Field(1e-3, description="Adam's learning rate.")
    weight_decay: NonNegative = Field(5e-4, description="Adam's weight decay.")
    steps: int = Field(300, ge=0, description="Optimisation steps, each on the whole graph.")


class RegressionSettings(Settings):
    """How a graph convolution first regresses the known classifiers."""

    regression_steps: int = Field(
        300, ge=0, description="First steps, in which the GCN regresses known class means."
    )
    regression_lr: Positive = Field(1e-3, description="Adam's learning rate in those steps.")
    regression_weight_decay: NonNegative = Field(
        5e-4, description="Adam's weight decay in those steps."
    )


class BgcnSettings(RegressionSettings):
    """bGCN: classifiers from a graph convolution, and a balance on unknown classes."""

    width: int = Field(1024, ge=1, description="Hidden width of the graph convolution.")
    dropout: Dropout = Field(0.5, description="Dropout before each graph convolution.")
    temperature: Positive = Field(0.05, description="T: logits are cosines divided by it.")
    tie: NonNegative = Field(1.5, description="Weight of the distance of classifiers to the GCN's.")
    balance: NonNegative = Field(3.0, description="Weight of the limited balance u + c^2 / u.")
    c: Share = Field(
        0.09,
        description="Unknown mass that the balance aims at: the authors' number for I2AwA.",
    )
    adapter_lr: Positive = Field(2e-4, description="SGD's learning rate for the image adapter.")
    classifier_lr: Positive = Field(5e-4, description="SGD's learning rate for the classifiers.")
    gcn_lr: Positive = Field(5e-4, description="SGD's learning rate for the graph convolution.")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="Nesterov momentum.")
    weight_decay: NonNegative = Field(1e-4, description="SGD's weight decay.")
    decay: NonNegative = Field(
        1e-3, description="The rate in step i is (1 + decay i)^-decay_power."
    )
    decay_power: NonNegative = Field(0.75, description="Power of that decay.")
    steps: int = Field(1200, ge=0, description="Optimisation steps after the regression.")
    batch_size: int = Field(90, ge=1, description="Source images and target images a step.")


class UodtnSettings(BgcnSettings):
    """UODTN: bGCN and the distance between matched images of the two domains."""

    matching: NonNegative = Field(0.7, description="Weight of the distance of matched images.")
    agreement: Share = Field(
        0.6,
        description="A pair is matched when its predictions agree by more than this: the sum of "
        "their products over known classes.",
    )
    match_chunk: int = Field(
        1024, ge=1, description="Images of each domain that are paired with each other at a time."
    )


class SreClipReferenceSettings(Settings):
    """SRE-CLIP after its authors' published code, term by term."""

    ablation: ClassVar = {
        "relation structure": {"relation": 0.0},
        "rank": {"rank": 0.0},
        "entropy": {"entropy": 0.0},
        "diversity": {"diversity": 0.0},
        "balance": {"balance": 0.0},
    }

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
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Numbers in which adapter and graph convolution run; losses: float32.",
    )


class TsceSettings(RegressionSettings):
    """TSCE: the reference SRE-CLIP without relation term, attention adapter and warm-up."""

    gcn_width: int = Field(1024, ge=1, description="Hidden width of the graph convolution.")
    dropout: Dropout = Field(0.5, description="Dropout before each graph convolution.")
    temperature: Positive = Field(0.05, description="T: logits are cosines divided by it.")
    rank: NonNegative = Field(10.0, description="Weight of the rank loss.")
    rank_pairs: Literal["as_intended", "as_coded"] = Field(
        "as_intended",
        description="Class distances the rank loss compares: between classes, or (as in the "
        "authors' code) only those of a class to itself, which are float noise.",
    )
    rank_sample: int = Field(
        4096, ge=1, description="Pairs of class distances drawn a step where there are too many."
    )
    entropy: NonNegative = Field(5.0, description="Weight of the target predictions' entropy.")
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
    adapter_lr: Positive = Field(1e-3, description="SGD's learning rate for the image adapter.")
    gcn_lr: Positive = Field(5e-3, description="SGD's learning rate for the graph convolution.")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="Nesterov momentum.")
    weight_decay: NonNegative = Field(1e-4, description="SGD's weight decay.")
    decay: NonNegative = Field(
        1e-3, description="The rate in step i is (1 + decay i)^-decay_power."
    )
    decay_power: NonNegative = Field(0.75, description="Power of that decay.")
    steps: int = Field(2000, ge=0, description="Optimisation steps after the regression.")
    batch_size: int = Field(256, ge=1, description="Source images and target images a step.")


class SreClipSettings(Settings):
    """SRE-CLIP as rebuilt here: it starts as zero-shot CLIP and is held close to it."""

    ablation: ClassVar = {
        "relation structure": {"relation": 0.0},
        "rank": {"rank": 0.0},
        "retention": {"retention": 0.0, "unknown_retention": 0.0},
        "anchor": {"anchor": 0.0},
        "self-training": {"self_training": 0.0},
        "entropy": {"entropy": 0.0},
        "diversity": {"diversity": 0.0},
        "balance": {"balance": 0.0},
        "calibration": {"calibration": False},
        "class prior": {"class_prior": False},
        "attention": {"attention": False},
    }

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
    class_prior: bool = Field(
        True,
        description="In that shift, aim at the share of unknown classes among all where the frozen "
        "model sends fewer images to unknown classes.",
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


class MethodsSettings(Section):
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
    bgcn: BgcnSettings = BgcnSettings()
    uodtn: UodtnSettings = UodtnSettings()
    tsce: TsceSettings = TsceSettings()
    sre_clip_reference: SreClipReferenceSettings = SreClipReferenceSettings()
    sre_clip: SreClipSettings = SreClipSettings()

    @field_validator("run")
    @classmethod
    def _registered(cls, names: list[str]) -> list[str]:
        return registered_methods(names)

    def settings(self, name: str) -> Settings:
        """Settings of one method."""
        return getattr(self, name)

    def changed(self, name: str, overrides: Mapping[str, Any]) -> Self:
        """Give these settings with some values of one method replaced; see `Settings.changed`."""
        return self.model_copy(update={name: self.settings(name).changed(overrides)})


def registered_methods(names: list[str]) -> list[str]:
    """Check that each name is a method's and stands once; for pydantic."""
    for name in names:
        if name not in METHODS:
            raise ValueError(unknown_name("method", name, METHODS))
    if len(set(names)) != len(names):
        raise ValueError("a method is named twice")
    return names
