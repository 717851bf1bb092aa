"""Settings of the backbones, one model per backbone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from sreclip.backbones import BACKBONES
from sreclip.config.section import OneOf, Section
from sreclip.registry import load_registered

if TYPE_CHECKING:
    from sreclip.backbones.base import Backbone


class BackboneModel(Section):
    """Base of a backbone's own settings."""

    @property
    def label(self) -> str | None:
        """Name in results and paths; None for the registered name."""
        return None


class OpenClipSettings(BackboneModel):
    """A CLIP model of open_clip."""

    model: str = Field("ViT-B-16", description="Model name as open_clip lists it.")
    pretrained: str = Field(
        "openai", description="Weights tag of that model, or the path of a local checkpoint."
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Arithmetic of the forward pass."
    )

    @property
    def label(self) -> str:
        """Model and weights."""
        return f"{self.model}-{Path(self.pretrained).stem}"


class MiniSettings(BackboneModel):
    """The small offline substitute; it has nothing to set."""


class BackboneSettings(Section):
    """The frozen image-text model."""

    name: Annotated[str, OneOf(tuple(BACKBONES))] = Field(
        "mini", description="Registered backbone."
    )
    open_clip: OpenClipSettings = OpenClipSettings()
    mini: MiniSettings = MiniSettings()

    @property
    def _chosen(self) -> BackboneModel:
        chosen: BackboneModel = getattr(self, self.name)
        return chosen

    @property
    def label(self) -> str:
        """Name in results and paths."""
        return self._chosen.label or self.name

    def load(self, device: str) -> Backbone:
        """Load the backbone on a device such as ``cpu`` or ``cuda:0``.

        Raises `ConfigError` if it cannot be made from these settings, or not on this machine.
        """
        load = load_registered("backbone", self.name, BACKBONES)
        backbone: Backbone = load(self._chosen.model_dump(), self.label, device)
        return backbone
