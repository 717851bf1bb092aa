"""The backbone of a saved model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sreclip.backbones import is_path
from sreclip.config.backbones import BackboneSettings
from sreclip.errors import ConfigError
from sreclip.features.extract import REDUCED_SIDES
from sreclip.features.header import Provenance

if TYPE_CHECKING:
    from sreclip.backbones.base import Backbone
    from sreclip.model.saved import SavedModel


PRECOMPUTED = "precomputed"


def load_backbone(saved: SavedModel, device: str, weights: str | None = None) -> Backbone:
    """Load the backbone of a model, with its local weights from elsewhere if they are given.

    Raises
    ------
    ConfigError
        It cannot be loaded, makes no features of images, or is not the one of the fit.
    """
    settings = BackboneSettings(**saved.backbone)
    if settings.name == PRECOMPUTED:
        raise ConfigError(
            f"the model was fitted on features that {settings.label} made elsewhere: sreclip "
            "cannot make those of new images",
            "give their features: sreclip predict MODEL --features FILE",
        )
    if weights is not None:
        if settings.name != "open_clip" or not is_path(settings.open_clip.pretrained):
            raise ConfigError(
                f"--weights: {settings.label} has no local checkpoint", "leave it out"
            )
        own = settings.open_clip.model_copy(update={"pretrained": weights})
        settings = settings.model_copy(update={"open_clip": own})
    backbone = settings.load(device)
    least_side = REDUCED_SIDES * backbone.image_size if saved.features["reduced_jpeg"] else 0
    found = Provenance.of(backbone, "float16", least_side)
    for name, wanted in saved.made_with.items():
        if getattr(found, name) != wanted:
            raise ConfigError(
                f"the model was fitted with another backbone: {name} is {getattr(found, name)!r} "
                f"here and was {wanted!r}",
                "use the weights and the version of open_clip that it was fitted with",
            )
    return backbone


def load_text_tower(saved: SavedModel, device: str) -> Backbone:
    """Load what encodes texts for a model of ready features.

    Raises `ConfigError` where they came with text vectors alone.
    """
    settings = BackboneSettings(**saved.backbone)
    if not settings.precomputed.encodes_text:
        raise ConfigError(
            f"the model was fitted on text vectors that {settings.label} made elsewhere: sreclip "
            "cannot make those of new names",
            "give their vectors: --vectors FILE, a row per name",
        )
    return settings.load(device)
