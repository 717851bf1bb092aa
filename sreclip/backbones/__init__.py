"""Backbones by name. Importing this package imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sreclip.registry import load_registered

if TYPE_CHECKING:
    from sreclip.backbones.base import Backbone
    from sreclip.config.models import Params

BACKBONES: dict[str, str] = {
    "mini": "sreclip.backbones.mini:load",
    "open_clip": "sreclip.backbones.open_clip:load",
}


def load_backbone(name: str, settings: Mapping[str, Any], device: str = "cpu") -> Backbone:
    """Load a registered backbone.

    Parameters
    ----------
    name : str
        One of `BACKBONES`.
    settings : Mapping
        The backbone's own section of the parameters.
    device : str
        Such as ``cpu`` or ``cuda:0``.

    Raises
    ------
    ConfigError
        The name is not registered, or the backbone cannot be made from these settings.
    """
    return load_registered("backbone", name, BACKBONES)(settings, device)


def backbone_of(params: Params) -> Backbone:
    """Load the backbone that the parameters choose, on the device for features."""
    chosen = params.backbone
    return load_backbone(chosen.name, chosen.settings, params.features.device)
