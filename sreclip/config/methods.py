"""Settings of the methods, one model per method.

A model is the one place that says what can be set: the parameter file, the constructors and the
documentation are made from it. Formulas are in ``docs/methods.md``.

A new method is a model here or in `sreclip.config.training_free`, a line in `MethodsSettings`, and
a class of the same name, without ``Settings``, in the module ``sreclip/methods/NAME.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from sreclip.config.method import (
    AdamRate,
    AdapterRate,
    Balance,
    BankSize,
    Count,
    Diversity,
    Entropy,
    Fraction,
    GcnRate,
    GcnSettings,
    NonNegative,
    PairedBatch,
    Positive,
    Rank,
    RankSample,
    Settings,
    SourceBatch,
    Steps,
    UnknownMass,
)
from sreclip.config.section import Section
from sreclip.config.sre_clip import SreClipSettings
from sreclip.config.training_free import (
    AdaptSettings,
    ClassBiasSettings,
    EcalpSettings,
    FrolicSettings,
    GdaSettings,
    InMapSettings,
    StatASettings,
    TransClipSettings,
    ZeroShotSettings,
    ZlapSettings,
)
from sreclip.errors import unknown_name


class SourceOnlySettings(Settings):
    """Adam's steps on batches of source images."""

    lr: AdamRate
    steps: Steps = 300
    batch_size: SourceBatch = 256


class ClipAdapterSettings(SourceOnlySettings):
    """CLIP-Adapter on the image side."""

    ratio: Fraction = Field(0.2, description="Fraction of the adapted feature in the mix.")
    reduction: Count = Field(4, description="The width of the bottleneck is dim / reduction.")
    lr: AdamRate = 1e-3


class LinearProbeSettings(Settings):
    """Multinomial regression on known classes; unknown ones keep their text vectors."""

    l2_low: Positive = Field(1e-4, description="Weakest L2 penalty tried.")
    l2_high: Positive = Field(10.0, description="Strongest L2 penalty tried.")
    l2_count: Count = Field(6, description="Penalties tried, from low to high by equal ratios.")
    holdout: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="Fraction of each class's source images that chooses the penalty."
    )
    shots: int = Field(
        0,
        ge=0,
        description="Most source images per known class; 0: all. Images times known classes must "
        "not pass 67 million.",
    )


class TipAdapterSettings(Settings):
    """Tip-Adapter: a cache of labelled source features."""

    alpha: NonNegative = Field(1.17, description="Weight of the cache.")
    beta: NonNegative = Field(1.0, description="Sharpness of the affinity to a cached feature.")
    shots: Count = Field(16, description="Most cached source images per known class.")
    centered: bool = Field(
        True,
        description="Keep an image's mean known logit; without it (the original) the cache raises "
        "known classes alone.",
    )


class TipAdapterFSettings(TipAdapterSettings):
    """Tip-Adapter-F: Tip-Adapter with trained keys."""

    lr: Positive = Field(1e-3, description="AdamW's learning rate at the start of its cosine.")
    epochs: int = Field(20, ge=0, description="Passes over the cached images.")
    batch_size: SourceBatch = 256


class TaskResSettings(SourceOnlySettings):
    """TaskRes: a learned residual on the class vectors."""

    alpha: NonNegative = Field(0.5, description="Weight of the residual.")
    lr: AdamRate = 2e-3


class GcnZslSettings(GcnSettings):
    """zGCN, dGCN: a graph convolution regresses known classifiers and gives unknown ones."""

    graph: Literal["hierarchy", "dense"] = Field(
        "hierarchy",
        description="Convolutions on parents and children, or (dGCN) on all descendants and then "
        "all ancestors.",
    )
    max_distance: Count = Field(
        4, description="Dense graph: relatives at this distance or beyond have one weight."
    )
    lr: AdamRate = 1e-3
    weight_decay: NonNegative = Field(5e-4, description="Adam's weight decay.")
    steps: Steps = 300


class RegressionSettings(GcnSettings):
    """A graph convolution that first regresses the class means of known source images."""

    regression_steps: int = Field(300, ge=0, description="First steps: the regression.")
    regression_lr: Positive = Field(1e-3, description="Adam's learning rate in the regression.")
    regression_weight_decay: NonNegative = Field(5e-4, description="Adam's decay of weights there.")


class SgdSettings(Settings):
    """SGD with Nesterov momentum and a decaying rate; logits are cosines over a temperature."""

    temperature: Positive = Field(0.05, description="Logits are cosines divided by it.")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="Nesterov momentum.")
    weight_decay: NonNegative = Field(1e-4, description="SGD's weight decay.")
    decay: NonNegative = Field(
        1e-3,
        description="The rate is (1 + decay i)^-decay_power times its start, i counting the steps "
        "of SGD after a warm-up.",
    )
    decay_power: NonNegative = Field(0.75, description="Power of that decay.")


class BgcnSettings(SgdSettings, RegressionSettings):
    """bGCN: classifiers from a graph convolution, and a balance on unknown classes."""

    tie: NonNegative = Field(1.5, description="Weight of the distance of classifiers to the GCN's.")
    balance: Balance = 3.0
    c: UnknownMass = 0.09
    adapter_lr: AdapterRate = 2e-4
    classifier_lr: Positive = Field(5e-4, description="SGD's rate for the classifiers.")
    gcn_lr: GcnRate = 5e-4
    steps: Steps = 1200
    batch_size: PairedBatch = 90


class UodtnSettings(BgcnSettings):
    """UODTN: bGCN and the distance between matched images of the two domains."""

    matching: NonNegative = Field(0.7, description="Weight of the distance of matched images.")
    agreement: Fraction = Field(
        0.6,
        description="A pair is matched when its predictions agree by more than this: the sum of "
        "their products over known classes.",
    )
    match_chunk: Count = Field(
        1024, description="Images of each domain that are paired with each other at a time."
    )


class SemanticSettings(SgdSettings, GcnSettings):
    """The terms that TSCE and the reference form of SRE-CLIP have in common."""

    rank: Rank
    rank_pairs: Literal["as_intended", "as_coded"] = Field(
        "as_intended",
        description="Class distances the rank loss compares: between classes, or (as in the "
        "authors' code) only those of a class to itself, which are float noise.",
    )
    rank_sample: RankSample = 4096
    entropy: Entropy
    diversity: Diversity = 5.0
    bank_size: BankSize = 768
    balance: Balance = 5.0
    c: UnknownMass = 0.3
    adapter_lr: AdapterRate = 1e-3
    gcn_lr: GcnRate = 5e-3
    batch_size: PairedBatch = 256


class SreClipReferenceSettings(SemanticSettings):
    """SRE-CLIP after its authors' published code, term by term."""

    ablation: ClassVar = {
        "relation structure": {"relation": 0.0},
        **{part: {part: 0.0} for part in ("rank", "entropy", "diversity", "balance")},
    }

    rank: Rank = 100.0
    entropy: Entropy = 3.0
    width: Count = Field(1024, description="Width of adapter output and prototypes.")
    relation: NonNegative = Field(
        0.01, description="Weight of the semantic relation structure in the source loss."
    )
    source: NonNegative = Field(1.5, description="Weight of the source loss after the warm-up.")
    warmup_steps: int = Field(600, ge=0, description="First steps, with the source loss alone.")
    steps: Steps = 3000
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Numbers in which adapter and graph convolution run; losses: float32.",
    )


class TsceSettings(SemanticSettings, RegressionSettings):
    """TSCE: what the reference was made from."""

    # What TSCE fixes of the settings of the reference.
    relation: ClassVar[float] = 0.0
    source: ClassVar[float] = 1.0
    warmup_steps: ClassVar[int] = 0
    precision: ClassVar[str] = "float32"

    rank: Rank = 10.0
    entropy: Entropy = 5.0
    steps: Steps = 2000


def registered_methods(names: list[str]) -> list[str]:
    """Check that each name is a method's and appears once; for pydantic."""
    for name in names:
        if name not in METHOD_NAMES:
            raise ValueError(unknown_name("method", name, METHOD_NAMES))
    if len(set(names)) != len(names):
        raise ValueError("a method is named twice")
    return names


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
    class_bias: ClassBiasSettings = ClassBiasSettings()
    frolic: FrolicSettings = FrolicSettings()
    adapt: AdaptSettings = AdaptSettings()
    ecalp: EcalpSettings = EcalpSettings()
    gda: GdaSettings = GdaSettings()
    inmap: InMapSettings = InMapSettings()
    stata: StatASettings = StatASettings()
    transclip: TransClipSettings = TransClipSettings()
    zlap: ZlapSettings = ZlapSettings()
    gcn_zsl: GcnZslSettings = GcnZslSettings()
    bgcn: BgcnSettings = BgcnSettings()
    uodtn: UodtnSettings = UodtnSettings()
    tsce: TsceSettings = TsceSettings()
    sre_clip_reference: SreClipReferenceSettings = SreClipReferenceSettings()
    sre_clip: SreClipSettings = SreClipSettings()

    _registered = field_validator("run")(registered_methods)

    def settings(self, name: str) -> Settings:
        """Return the settings of one method."""
        return getattr(self, name)

    def changed(self, name: str, overrides: Mapping[str, Any]) -> Self:
        """Return these settings with some values of one method replaced; see `Settings.changed`."""
        return self.model_copy(update={name: self.settings(name).changed(overrides)})


METHOD_NAMES = tuple(name for name in MethodsSettings.model_fields if name != "run")
