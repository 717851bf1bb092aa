"""What the settings of every method have, and the types of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError

from sreclip.config.section import Section
from sreclip.errors import did_you_mean
from sreclip.refinement import Neighbours, Refinement

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Calibration = Annotated[
    Literal["none", "zero_shot", "class_prior"],
    Field(
        description="Shift of the unknown logits, without labels. `zero_shot`: as many target "
        "images go to unknown classes as with the frozen model; `class_prior`: in addition at "
        "least the fraction that unknown classes are of all classes."
    ),
]


def _in_order(value: Any) -> Any:
    """Take a single name for a list of one, and ``none`` for no name."""
    if isinstance(value, str):
        return () if value == "none" else (value,)
    return value


Refinements = Annotated[tuple[Refinement, ...], BeforeValidator(_in_order)]


# What several methods have with different defaults.
AdamRate = Annotated[float, Field(gt=0, description="Adam's learning rate.")]
Steps = Annotated[int, Field(ge=0, description="Optimization steps.")]
SourceBatch = Annotated[int, Field(ge=1, description="Source images per step.")]
PairedBatch = Annotated[int, Field(ge=1, description="Source images and target images per step.")]
GcnWidth = Annotated[int, Field(ge=1, description="Hidden width of the graph convolution.")]
Dropout = Annotated[float, Field(ge=0, lt=1, description="Dropout before each graph convolution.")]
AdapterRate = Annotated[float, Field(gt=0, description="SGD's rate for the image adapter.")]
GcnRate = Annotated[float, Field(gt=0, description="SGD's rate for the graph convolution.")]
Rank = Annotated[float, Field(ge=0, description="Weight of the rank loss on class distances.")]
RankSample = Annotated[
    int, Field(ge=1, description="Pairs of class distances drawn per step, beyond 64 classes.")
]
Entropy = Annotated[float, Field(ge=0, description="Weight of the target predictions' entropy.")]
Diversity = Annotated[
    float, Field(ge=0, description="Weight of the entropy of the mean prediction over a bank.")
]
BankSize = Annotated[int, Field(ge=1, description="Target images in that bank.")]
Balance = Annotated[float, Field(ge=0, description="Weight of the limited balance u + c^2 / u.")]
UnknownMass = Annotated[
    Fraction,
    Field(
        description="c: the unknown probability mass that the balance aims at. The authors use "
        "0.09 (UODTN) and 0.3 (TSCE, SRE-CLIP) for I2AwA, 0.82 for I2WebV."
    ),
]


class Settings(Section):
    """What every method has."""

    # What `sreclip ablate` takes away: a name, and the settings that switch it off.
    ablation: ClassVar[dict[str, dict[str, Any]]] = {}

    calibration: Calibration = "none"
    refine: Refinements = Field(
        (),
        description="Transductive refinements of the target's logits, as the last steps, in order: "
        "any of `adapt`, `class_bias`, `frolic`, `inmap`, `stata`, `transclip`, `zlap`; a single "
        "name, or `none`, will do.",
    )
    neighbours: Neighbours = Field(
        "exact",
        description="How the method or `refine` finds the nearest target images; `approximate` "
        "misses some and saves time beyond 32,768 images.",
    )

    @property
    def sees_target(self) -> bool:
        """Whether these steps look at the target, of a method that by itself may not."""
        return bool(self.refine) or self.calibration != "none"

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        """Parts of `ablation` that are on in these settings."""
        return {
            part: overrides
            for part, overrides in self.ablation.items()
            if self.changed(overrides) != self
        }

    def changed(self, overrides: Mapping[str, Any]) -> Self:
        """Return these settings with some values replaced.

        Raises
        ------
        ValueError
            An unknown key or a value that is not allowed, by name.
        """
        for key in overrides:
            if key not in type(self).model_fields:
                raise ValueError(
                    f"{key}: unknown key{did_you_mean(key, type(self).model_fields)}; "
                    f"allowed: {', '.join(type(self).model_fields)}"
                )
        try:
            return type(self).model_validate(self.model_dump() | dict(overrides))
        except ValidationError as error:
            problem = error.errors()[0]
            raise ValueError(
                f"{problem['loc'][0]}: {problem['msg']}, found {problem['input']!r}"
            ) from None


class GcnSettings(Settings):
    """A graph convolution."""

    gcn_width: GcnWidth = 1024
    dropout: Dropout = 0.5
