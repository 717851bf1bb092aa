"""Any CLIP of open_clip: by its pretrained tag, from a file, from a folder or from the Hub."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from open_clip.transformer import VisionTransformer

from sreclip.backbones.base import Checked
from sreclip.backbones.building import Built, absent_weights, build, load_tokenizer
from sreclip.backbones.hub import use_cache_alone
from sreclip.backbones.pixels import in_bytes
from sreclip.backbones.tower import ImageTower
from sreclip.backbones.weights import state_sha256, unit_rows, usable_device
from sreclip.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class OpenClipBackbone:
    """A frozen open_clip model; see `sreclip.backbones.base.Backbone`.

    Weights stay in float32. With half precision the two encoders run under autocast, and the
    features are brought to unit length in float32.
    """

    def __init__(
        self, built: Built, settings: Mapping[str, Any], label: str, device: torch.device
    ) -> None:
        model = built.model
        self.settings = settings
        self.label = label
        self.precision = settings["precision"]
        self.weights_sha256 = state_sha256(model.state_dict())
        self.network = built.network
        self.dim = built.dim
        self.logit_scale = float(model.logit_scale.detach().exp())
        self.device = device
        self.autocast_dtype = PRECISIONS[self.precision]
        self.layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        config = model.visual.preprocess_cfg
        self.model = model.eval().requires_grad_(False).to(device, memory_format=self.layout)
        if self.autocast_dtype is not None and device.type == "cpu":
            _keep_tokens_exact(self.model.visual)
        whole = image_transform_v2(PreprocessCfg(**config), is_train=False)
        self.transform, self.scaling = in_bytes(whole, device)
        self.preprocessing = "open_clip val: " + ", ".join(f"{k} {v}" for k, v in config.items())
        size = config["size"]
        self.image_size = size if isinstance(size, int) else min(size)

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, loaded at first use: extracting images never needs it."""
        return load_tokenizer(self.settings)

    def preprocess(self, image: Image) -> torch.Tensor:
        """Turn an RGB image into pixels of shape ``(3, height, width)``, uint8 if they can be."""
        return self.transform(image)

    @torch.inference_mode()
    def encode_image(self, pixels: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
        """Encode ``(n_images, 3, height, width)`` to unit-norm float32 ``(n_images, dim)``.

        Pixels are those of `preprocess`, or scaled already.
        """
        pixels = pixels.to(self.device, memory_format=self.layout, non_blocking=True)
        if self.scaling:
            pixels = self.scaling(pixels)
        with contextlib.nullcontext() if exact else self._autocast():
            features = self.model.encode_image(pixels)
        return unit_rows(features)

    def image_tower(self) -> ImageTower:
        """Return `encode_image` as a module, without autocast."""
        return ImageTower(self.model, self.model.encode_image, self.scaling)

    @torch.inference_mode()
    def encode_text(self, texts: list[str]) -> torch.Tensor:
        """Encode texts to unit-norm float32 ``(n_texts, dim)``."""
        tokens = self.tokenizer(texts).to(self.device)
        with self._autocast():
            features = self.model.encode_text(tokens)
        return unit_rows(features).cpu()

    @property
    def context_length(self) -> int:
        """Tokens that the text tower reads."""
        return int(self.tokenizer.context_length)

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count the tokens of each text, with those that mark its start and end."""
        inner = getattr(self.tokenizer, "tokenizer", None)
        if inner is None:  # CLIP's own
            return [len(self.tokenizer.encode(text)) + 2 for text in texts]
        cleaned = [self.tokenizer.clean_fn(text) for text in texts]
        if self.tokenizer.tokenizer_mode == "clips":
            encoded = inner(cleaned, add_special_tokens=False)["input_ids"]
            return [len(ids) + 3 for ids in encoded]
        return [len(ids) for ids in inner(cleaned)["input_ids"]]

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.autocast_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast_dtype)


def _keep_tokens_exact(tower: Any) -> None:
    """Keep the tokens that the blocks of a vision transformer add to in float32, under autocast.

    Its first convolution would leave them in half precision. With weights in float32 torch's fast
    attention does not take those, and its other way copies the weights for each image on a CPU.
    """
    if isinstance(tower, VisionTransformer):
        tower.conv1.register_forward_hook(lambda module, given, made: made.float())


def check(settings: Mapping[str, Any], label: str) -> Checked:
    """Load what is on this machine; raises as `load`, except for what is still to be fetched."""
    use_cache_alone()
    if (absent := absent_weights(settings)) is not None:
        return Checked(settings["model"], (f"{absent} will be downloaded at first use",))
    backbone = load(settings, label, "cpu")
    about = f"{backbone.network}; {backbone.preprocessing}"
    try:
        length = backbone.context_length
    except ConfigError as error:
        return Checked(about, (error.message,))
    return Checked(about, (), backbone.count_tokens, length)


def load(settings: Mapping[str, Any], label: str, device: str) -> OpenClipBackbone:
    """Make the backbone of `sreclip.config.backbones.OpenClipSettings`.

    Raises `ConfigError` as `sreclip.backbones.building.build`, or if the device is missing.
    """
    where = usable_device(device)
    return OpenClipBackbone(build(settings), settings, label, where)
