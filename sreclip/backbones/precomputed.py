"""What made features elsewhere: a name, a logit scale, and perhaps the text tower of the model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sreclip.backbones.base import Backbone, Checked
from sreclip.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from PIL import Image

ELSEWHERE = "made elsewhere"


class PrecomputedBackbone:
    """Encodes texts alone; see `sreclip.backbones.base.Backbone`.

    The model of the texts is loaded at first use. Its weights are not those of the header, which
    must be the same in all feature files.
    """

    weights_sha256 = ELSEWHERE
    preprocessing = ELSEWHERE
    precision = "float32"
    image_size = 0

    def __init__(self, settings: Mapping[str, Any], label: str, device: str) -> None:
        self.label, self.logit_scale = label, float(settings["logit_scale"])
        self._settings, self._device = settings, device

    @cached_property
    def texts(self) -> Backbone:
        """The model whose text tower encodes names."""
        if self._settings["text_encoder"] is None:
            raise ConfigError(
                f"{self.label} has no text encoder",
                "set backbone.precomputed.text_encoder to the model that made the features",
            )
        from sreclip.backbones.open_clip import load as load_open_clip

        return load_open_clip(self._settings["text_encoder"], self.label, self._device)

    @property
    def network(self) -> str:
        """Where the vectors come from."""
        if self._settings["text_encoder"] is None:
            return ELSEWHERE
        return f"{ELSEWHERE}; texts by {self.texts.network}, weights {self.texts.weights_sha256}"

    @property
    def dim(self) -> int:
        """Width of the text vectors."""
        return self.texts.dim

    @property
    def device(self) -> torch.device:
        """Where the text tower is."""
        return self.texts.device

    @property
    def context_length(self) -> int:
        """Tokens that the text tower reads."""
        return self.texts.context_length

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count the tokens of each text."""
        return self.texts.count_tokens(texts)

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        """Encode texts to unit-norm float32 ``(n_texts, dim)``."""
        return self.texts.encode_text(texts)

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """Refuse: there are no images."""
        raise self._no_images()

    def encode_image(self, pixels: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
        """Refuse: there are no images."""
        raise self._no_images()

    def image_tower(self) -> torch.nn.Module:
        """Refuse: there are no images."""
        raise self._no_images()

    def _no_images(self) -> ConfigError:
        return ConfigError(
            "backbone.name: precomputed encodes no images", "use task.name: ready_features with it"
        )


def load(settings: Mapping[str, Any], label: str, device: str) -> PrecomputedBackbone:
    """Make the backbone of `sreclip.config.backbones.PrecomputedSettings`."""
    return PrecomputedBackbone(settings, label, device)


def check(settings: Mapping[str, Any], label: str) -> Checked:
    """Tell what the settings say; of the text encoder what open_clip's own check says."""
    about = f"features made elsewhere, logit scale {settings['logit_scale']:g}"
    if settings["text_encoder"] is None:
        return Checked(
            f"{about}, no text encoder",
            ("text vectors come from files: prompts.templates is not used",),
        )
    from sreclip.backbones.open_clip import check as check_open_clip

    found = check_open_clip(settings["text_encoder"], label)
    return found._replace(about=f"{about}; texts by {found.about}")
