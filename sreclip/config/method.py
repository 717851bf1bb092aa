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


Steps = Annotated[tuple[Refinement, ...], BeforeValidator(_in_order)]


class Settings(Section):
    """What every method has."""

    # What `sreclip ablate` takes away: a name, and the settings that switch it off.
    ablation: ClassVar[dict[str, dict[str, Any]]] = {}

    calibration: Calibration = "none"
    refine: Steps = Field(
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
                    f"{key}: unknown key; allowed: {', '.join(type(self).model_fields)}"
                    + did_you_mean(key, type(self).model_fields)
                )
        try:
            return type(self).model_validate(self.model_dump() | dict(overrides))
        except ValidationError as error:
            problem = error.errors()[0]
            raise ValueError(
                f"{problem['loc'][0]}: {problem['msg']}, found {problem['input']!r}"
            ) from None
