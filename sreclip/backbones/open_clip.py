"""Any CLIP of open_clip, by its pretrained tag or from a checkpoint file."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import open_clip
import torch
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors import SafetensorError, safe_open

from sreclip.backbones.weights import state_sha256, unit_rows, usable_device
from sreclip.errors import ConfigError
from sreclip.registry import did_you_mean

if TYPE_CHECKING:
    from PIL.Image import Image

CHECKPOINT_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class OpenClipBackbone:
    """A frozen open_clip model; see `sreclip.backbones.base.Backbone`.

    Weights stay in float32. With half precision the two encoders run under autocast, and the
    features are brought to unit length in float32.
    """

    def __init__(
        self, model: Any, name: str, label: str, precision: str, device: torch.device
    ) -> None:
        self.label = label
        self.precision = precision
        self.weights_sha256 = state_sha256(model.state_dict())
        self.dim = int(open_clip.get_model_config(name)["embed_dim"])
        self.logit_scale = float(model.logit_scale.detach().exp())
        self.device = device
        self.autocast_dtype = PRECISIONS[precision]
        self.layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self.model = model.eval().requires_grad_(False).to(device, memory_format=self.layout)
        self.tokenizer = open_clip.get_tokenizer(name)
        config = model.visual.preprocess_cfg
        self.transform = image_transform_v2(PreprocessCfg(**config), is_train=False)
        self.preprocessing = "open_clip val: " + ", ".join(f"{k} {v}" for k, v in config.items())
        size = config["size"]
        self.image_size = size if isinstance(size, int) else min(size)

    def preprocess(self, image: Image) -> torch.Tensor:
        """Turn an RGB image into pixels of shape ``(3, height, width)``."""
        return self.transform(image)

    @torch.inference_mode()
    def encode_image(self, pixels: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
        """Encode ``(n_images, 3, height, width)`` to unit-norm float32 ``(n_images, dim)``."""
        pixels = pixels.to(self.device, memory_format=self.layout, non_blocking=True)
        with contextlib.nullcontext() if exact else self._autocast():
            features = self.model.encode_image(pixels)
        return unit_rows(features)

    @torch.inference_mode()
    def encode_text(self, texts: list[str]) -> torch.Tensor:
        """Encode texts to unit-norm float32 ``(n_texts, dim)``."""
        tokens = self.tokenizer(texts).to(self.device)
        with self._autocast():
            features = self.model.encode_text(tokens)
        return unit_rows(features).cpu()

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.autocast_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast_dtype)


def load(settings: Mapping[str, Any], label: str, device: str) -> OpenClipBackbone:
    """Make the backbone of `sreclip.config.backbones.OpenClipSettings`.

    OpenAI's weights need the QuickGELU activation. For the tag it is switched on here; for a
    checkpoint file choose the model name that ends in ``-quickgelu``.

    Raises `ConfigError` if a setting cannot be used, the checkpoint is missing, unsafe or of
    another architecture, or the weights cannot be downloaded.
    """
    name, pretrained = settings["model"], settings["pretrained"]
    where = usable_device(device)
    if name not in open_clip.list_models():
        models = open_clip.list_models()
        raise ConfigError(
            f"open_clip has no model {name!r}{did_you_mean(name, models)}",
            f"choose from: {', '.join(models)}",
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained in tags:
        model = _from_tag(name, pretrained)
    elif pretrained.endswith(CHECKPOINT_SUFFIXES) or "/" in pretrained:
        model = _from_file(name, Path(pretrained).expanduser())
    else:
        raise ConfigError(
            f"open_clip: {pretrained!r} is not a pretrained tag of {name}"
            + did_you_mean(pretrained, tags),
            f"choose from: {', '.join(tags) or 'none'}; or give the path of a checkpoint file "
            f"({', '.join(CHECKPOINT_SUFFIXES)})",
        )
    return OpenClipBackbone(model, name, label, settings["precision"], where)


def _from_tag(name: str, tag: str) -> Any:
    # open_clip only warns when a tag was trained with QuickGELU and the model has not.
    quick_gelu = bool(get_pretrained_cfg(name, tag).get("quick_gelu", False))
    try:
        return open_clip.create_model(
            name, pretrained=tag, force_quick_gelu=quick_gelu, weights_only=True
        )
    except Exception as error:
        raise ConfigError(
            f"open_clip: the weights {tag!r} of {name} could not be downloaded ({_short(error)})",
            "check the network, or copy a checkpoint to this machine and set pretrained to its "
            "path",
        ) from error


def _from_file(name: str, path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(
            f"open_clip: no checkpoint file at {path}", "check the setting `pretrained`"
        )
    _refuse_unsafe(path)
    try:
        return open_clip.create_model(name, pretrained=str(path), weights_only=True)
    except Exception as error:
        raise ConfigError(
            f"open_clip: {path} does not fit the model {name} ({_short(error)})",
            "set `model` to the architecture that the checkpoint was trained with",
        ) from error


def _refuse_unsafe(path: Path) -> None:
    """Open a checkpoint without running what may be pickled in it."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt"):
                return
        torch.load(path, map_location="meta", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, SafetensorError, ValueError) as error:
        raise ConfigError(
            f"open_clip: {path} is not a plain file of tensors ({_short(error)})",
            "save its state dict as .safetensors; sreclip does not unpickle other objects",
        ) from error


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
