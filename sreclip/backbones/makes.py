"""Weights that other programs name in their own way, brought to open_clip's names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import torch

from sreclip.backbones.checkpoint import State
from sreclip.backbones.recipes import Companion, read_config
from sreclip.errors import ConfigError

_LAYER = re.compile(r"(vision|text)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_ATTENTION = ("q_proj", "k_proj", "v_proj")
_IN_LAYER = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_OUTSIDE = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "logit_scale": "logit_scale",
}
_TRANSPOSED = {
    "visual_projection.weight": "visual.proj",
    "text_projection.weight": "text_projection",
}
_BUFFERS = re.compile(r"(vision|text)_model\.embeddings\.position_ids")
_TEXT_TOWER = ("text", "token_embedding", "transformer.", "positional_embedding")
# Pillow's numbers of filters.
_RESAMPLE = {0: "nearest", 2: "bilinear", 3: "bicubic"}


def is_from_transformers(state: State) -> bool:
    """Tell whether the names are those of Hugging Face's transformers."""
    return any(name.startswith(("vision_model.", "text_model.")) for name in state)


def to_open_clip(state: State, path: Path) -> State:
    """Rename transformers' CLIP; leave other states as they are.

    Raises `ConfigError` where a state is known not to fit: other models of transformers, or an
    image tower without a text tower.
    """
    if is_from_transformers(state):
        if "vision_model.embeddings.class_embedding" not in state or (
            "visual_projection.weight" not in state or "text_projection.weight" not in state
        ):
            raise ConfigError(
                f"open_clip: {path} has the names of a model of transformers that is not a whole "
                f"CLIPModel (first: {_first(state)})",
                "take the weights in open_clip's form, usually open_clip_model.safetensors of the "
                "same model on the Hub",
            )
        return dict(_renamed(state))
    if not any(name.startswith(_TEXT_TOWER) for name in state):
        raise ConfigError(
            f"open_clip: {path} holds an image tower alone, without a text tower "
            f"(first: {_first(state)})",
            "sreclip needs both towers of one model: take the whole checkpoint",
        )
    return state


def transformers_companion(path: Path) -> Companion | None:
    """Read ``config.json`` and ``preprocessor_config.json`` beside weights of transformers."""
    about_model, about_images = (
        path.parent / "config.json",
        path.parent / "preprocessor_config.json",
    )
    if not about_model.is_file():
        return None
    towers = [read_config(about_model).get(name) or {} for name in ("vision_config", "text_config")]
    quick_gelu = all(tower.get("hidden_act", "quick_gelu") == "quick_gelu" for tower in towers)
    images = read_config(about_images) if about_images.is_file() else {}
    size = images.get("size")
    found = {
        "mean": images.get("image_mean"),
        "std": images.get("image_std"),
        "interpolation": _RESAMPLE.get(images.get("resample", -1)),
        "resize_mode": "squash" if isinstance(size, dict) and "height" in size else None,
    }
    preprocessing = {name: value for name, value in found.items() if value is not None}
    if preprocessing and "resize_mode" not in preprocessing:
        preprocessing["resize_mode"] = "shortest"
    return Companion(quick_gelu, preprocessing, "config.json of transformers")


def _renamed(state: State) -> Iterator[tuple[str, torch.Tensor]]:
    for name, value in state.items():
        match = _LAYER.fullmatch(name)
        if match is None:
            if name in _TRANSPOSED:
                yield _TRANSPOSED[name], value.T.contiguous()
            elif not _BUFFERS.fullmatch(name):
                yield _OUTSIDE.get(name, name), value
            continue
        tower, layer, part, kind = match.groups()
        block = f"{'visual.' if tower == 'vision' else ''}transformer.resblocks.{layer}."
        if part == "self_attn.q_proj":
            parts = (name.replace("q_proj", other) for other in _ATTENTION)
            yield f"{block}attn.in_proj_{kind}", torch.cat([state[other] for other in parts])
        elif part in _IN_LAYER:
            yield f"{block}{_IN_LAYER[part]}.{kind}", value


def _first(state: State) -> str:
    return ", ".join(list(state)[:3])
