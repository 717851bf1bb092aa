"""How large a model is, from its configuration alone: neither torch nor weights are loaded."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sreclip.backbones import HUB, LOCAL
from sreclip.config.backbones import BackboneSettings
from sreclip.files import expanded

_CONFIGURATION = "open_clip_config.json"


class Architecture(NamedTuple):
    """Width of the features and side of the images.

    Multiplications per image and bytes of the weights in float32 are None where not known.
    """

    dim: int
    side: int = 224
    per_image: float | None = None
    weights: float | None = None


def vision_transformer(layers: int, width: int, patch: int, image: int, ratio: float = 4) -> float:
    """Return the multiplications of a vision transformer per image.

    With n tokens of width w and MLPs r times as wide, a block takes
    :math:`(4 + 2r)\\,n w^2 + 2\\,n^2 w`.
    """
    tokens = (image // patch) ** 2 + 1
    block = (4 + 2 * ratio) * tokens * width**2 + 2 * tokens**2 * width
    return layers * block + (tokens - 1) * 3 * patch**2 * width


VIT_B_32 = vision_transformer(layers=12, width=768, patch=32, image=224)
# Two cores encode 60 images per second with `mini` and 20 with ViT-B-32 (docs/performance.md).
MINI = VIT_B_32 / 3


def architecture_of(backbone: BackboneSettings) -> Architecture | None:
    """Return what is known of a backbone's model; None where its configuration is not here."""
    if backbone.name == "mini":
        from sreclip.backbones.mini import read_map

        return Architecture(read_map()[0]["map"].shape[0], per_image=MINI)
    if backbone.name != "open_clip":
        return None
    config = _configuration(backbone.open_clip.model)
    return None if config is None else _of(config)


def _configuration(model: str) -> Mapping[str, Any] | None:
    """Return open_clip's configuration of a model, from its file."""
    path: Path | None
    if model.startswith(LOCAL):
        path = expanded(model.removeprefix(LOCAL)) / _CONFIGURATION
    elif model.startswith(HUB):
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(model.removeprefix(HUB), _CONFIGURATION)
        path = Path(cached) if isinstance(cached, str) else None
    else:
        package = importlib.util.find_spec("open_clip")
        folders = (package and package.submodule_search_locations) or [""]
        path = Path(folders[0]) / "model_configs" / f"{model.replace('/', '-')}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path is not None else None
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    return found.get("model_cfg", found)


def _of(config: Mapping[str, Any]) -> Architecture | None:
    try:
        dim, vision, text = config["embed_dim"], config["vision_cfg"], config["text_cfg"]
        side = vision.get("image_size", 224)
        side = side if isinstance(side, int) else max(side)
        shape = [vision.get(name) for name in ("layers", "width", "patch_size")]
        if "timm_model_name" in vision or not all(isinstance(value, int) for value in shape):
            return Architecture(dim, side)
        layers, width, patch = shape
        ratio = vision.get("mlp_ratio", 4)
        per_image = vision_transformer(layers, width, patch, side, ratio)
        if "hf_model_name" in text:
            return Architecture(dim, side, per_image)
        parameters = (4 + 2 * ratio) * layers * width**2
        parameters += 12 * text.get("layers", 12) * text["width"] ** 2
        parameters += text.get("vocab_size", 49408) * text["width"]
        return Architecture(dim, side, per_image, 4 * parameters)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
