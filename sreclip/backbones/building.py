"""Building a model of open_clip from its name and weights, with nothing assumed silently."""

from __future__ import annotations

import contextlib
import difflib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import (
    convert_to_custom_text_state_dict,
    resize_pos_embed,
    resize_text_pos_embed,
)
from open_clip.pretrained import get_pretrained_cfg
from open_clip.tokenizer import HFTokenizer

from sreclip.backbones import CHECKPOINT_SUFFIXES, HUB, LOCAL, is_path
from sreclip.backbones.checkpoint import State, read_state, refuse_other_files, short
from sreclip.backbones.hub import WEIGHTS, is_cached, needed_from_hub
from sreclip.backbones.makes import is_from_transformers, to_open_clip, transformers_companion
from sreclip.backbones.recipes import (
    Recipe,
    no_such_tag,
    published_sha256,
    read_companion,
    recipe_of,
    tag_recipe,
)
from sreclip.errors import ConfigError, did_you_mean, some
from sreclip.files import expanded
from sreclip.keys import content_key

log = logging.getLogger(__name__)

_NAMES_SHOWN = 3
_NAMES_LISTED = 10
_POSITIONS = {
    "visual.positional_embedding": "image positions",
    "positional_embedding": "text positions",
    "text.positional_embedding": "text positions",
}


class Built(NamedTuple):
    """A model with its weights, the network in words, and the width of its features."""

    model: Any
    network: str
    dim: int


def model_config(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return open_clip's configuration of the model that the settings name.

    Raises `ConfigError` if there is none, or a folder or the Hub has none.
    """
    name = settings["model"]
    if name.startswith(LOCAL):
        folder = expanded(name.removeprefix(LOCAL))
        if not (folder / "open_clip_config.json").is_file():
            raise ConfigError(
                f"open_clip: no open_clip_config.json in {folder}",
                "a local-dir: folder holds it beside the weights; for weights of transformers set "
                "model to open_clip's name and pretrained to their file",
            )
    elif not name.startswith(HUB) and name not in (models := open_clip.list_models()):
        near = difflib.get_close_matches(name, models, _NAMES_LISTED, 0)
        raise ConfigError(
            f"open_clip has no model {name!r}{did_you_mean(name, models)}",
            f"choose for instance from: {', '.join(near)}; all {len(models)} names: "
            "open_clip.list_models()",
        )
    here = contextlib.nullcontext()
    of_hub = needed_from_hub("the configuration of", name, f"set model: {LOCAL}FOLDER")
    with of_hub if name.startswith(HUB) else here:
        config: dict[str, Any] = open_clip.get_model_config(open_clip_name(settings))
        return config


def open_clip_name(settings: Mapping[str, Any]) -> str:
    """Return the name by which open_clip finds the model."""
    name = str(settings["model"])
    return f"{LOCAL}{expanded(name.removeprefix(LOCAL))}" if name.startswith(LOCAL) else name


def checkpoint_path(settings: Mapping[str, Any]) -> Path | None:
    """Return the path of the file of weights; None for a tag, a folder or the Hub.

    Raises `ConfigError` if ``pretrained`` is neither a tag of the model nor a path.
    """
    name, pretrained = settings["model"], settings["pretrained"]
    if is_path(pretrained) and not name.startswith((LOCAL, HUB)):
        return expanded(pretrained)
    set_here = [key for key in ("tag", "quick_gelu") if settings[key] is not None]
    if any(value is not None for value in settings["preprocessing"].values()):
        set_here.append("preprocessing")
    if set_here:
        raise ConfigError(
            f"open_clip: {', '.join(set_here)} cannot be set for {name}"
            + ("" if name.startswith((LOCAL, HUB)) else f" {pretrained}")
            + ", which says itself how it is used",
            "remove the setting, or set pretrained to the path of a file of weights",
        )
    if name.startswith((LOCAL, HUB)):
        return None
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained in tags:
        return None
    suffixes = ", ".join(CHECKPOINT_SUFFIXES)
    raise no_such_tag(name, pretrained, f"give the path of a checkpoint file ({suffixes})")


def build(settings: Mapping[str, Any]) -> Built:
    """Make the model of `sreclip.config.backbones.OpenClipSettings`, on the CPU.

    Raises `ConfigError` if the weights are missing, unsafe, not finite or of another architecture,
    cannot be downloaded, or leave open how they want to be used.
    """
    config = model_config(settings)
    path = checkpoint_path(settings)
    options = _text_tower(settings, config)
    model, quick_gelu = (
        _from_file(settings, path, options)
        if path is not None
        else _as_open_clip_does(settings, config, options)
    )
    _check_finite(model, settings)
    name = settings["model"]
    if name.startswith((LOCAL, HUB)):  # a path would make another key on each machine
        name = f"open_clip_config.json {content_key(config)}"
    activation = "QuickGELU" if quick_gelu else "GELU"
    return Built(model, f"{name}, {activation}", int(config["embed_dim"]))


def hub_source(settings: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the repository of the Hub and the file in it that are needed; None for local weights.

    Raises `ConfigError` if there is no such model or tag.
    """
    name, tag = settings["model"], settings["pretrained"]
    if name.startswith(HUB):
        return name.removeprefix(HUB), "open_clip_config.json"
    model_config(settings)
    if checkpoint_path(settings) is not None or name.startswith(LOCAL):
        return None
    repository, _, file = get_pretrained_cfg(name, tag).get("hf_hub", "").rpartition("/")
    return repository, file or WEIGHTS


def absent_weights(settings: Mapping[str, Any]) -> str | None:
    """Say what of the Hub is not on this machine yet; None if nothing is missing."""
    source = hub_source(settings)
    if source is None or is_cached(*source):
        return None
    name = str(settings["model"])
    return name if name.startswith(HUB) else f"{name} {settings['pretrained']}"


def load_tokenizer(settings: Mapping[str, Any]) -> Any:
    """Load the model's tokenizer, or the one that the settings name."""
    text = model_config(settings)["text_cfg"]
    source = settings["tokenizer"] or text.get("hf_tokenizer_name")
    if source is None:  # CLIP's own, which open_clip ships
        return open_clip.get_tokenizer(open_clip_name(settings))
    with needed_from_hub("the tokenizer", source, _OWN_TOKENIZER):
        if settings["tokenizer"] is None:
            return open_clip.get_tokenizer(open_clip_name(settings))
        return HFTokenizer(
            str(expanded(settings["tokenizer"])),
            context_length=text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH),
            tokenizer_mode=text.get("tokenizer_mode"),
            **text.get("tokenizer_kwargs", {}),
        )


_OWN_TOKENIZER = "set backbone.open_clip.tokenizer to a folder that holds its files"


def _text_tower(settings: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that make a text tower of transformers from the settings' own folder."""
    text = config["text_cfg"]
    tower = text.get("hf_model_name")
    if not tower:
        return {}
    source = str(expanded(settings["tokenizer"])) if settings["tokenizer"] else tower
    with needed_from_hub("the text tower's configuration", source, _OWN_TOKENIZER):
        from transformers import AutoConfig

        AutoConfig.from_pretrained(source)
    return {"text_cfg": {**text, "hf_model_name": source, "hf_model_pretrained": False}}


def _from_file(
    settings: Mapping[str, Any], path: Path, options: Mapping[str, Any]
) -> tuple[Any, bool]:
    name = settings["model"]
    openai = {
        published_sha256(each, "openai")
        for each in open_clip.list_pretrained_models_by_tag("openai")
    }
    state = read_state(path, openai)
    companion = read_companion(path)
    if companion is None and is_from_transformers(state):
        companion = transformers_companion(path)
    recipe = recipe_of(settings, path, companion)
    log.info("%s as %s: %s (%s)", path, name, recipe, recipe.origin)
    with _own_words():
        model = open_clip.create_model(
            name,
            load_weights=False,
            pretrained_image=False,
            pretrained_text=False,
            force_quick_gelu=recipe.quick_gelu,
            force_preprocess_cfg=dict(recipe.preprocessing),
            **options,
        )
    _fill(model, to_open_clip(state, path), path, name)
    return model, recipe.quick_gelu


def _as_open_clip_does(
    settings: Mapping[str, Any], config: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[Any, bool]:
    """Load a tag, a folder or a model of the Hub, whose activation and preprocessing are known."""
    name, tag = open_clip_name(settings), settings["pretrained"]
    recipe = Recipe.of(bool(config.get("quick_gelu", False)), {})
    bring = f"set model: {LOCAL}FOLDER"
    what, source = "the weights of", name
    if name.startswith(LOCAL):
        for path in sorted(Path(name.removeprefix(LOCAL)).iterdir()):
            if path.suffix in CHECKPOINT_SUFFIXES:
                refuse_other_files(path)
    elif not name.startswith(HUB):
        # open_clip only warns when a tag was trained with QuickGELU and the model has not.
        recipe = tag_recipe(name, tag)
        what, source = f"the weights {tag!r} of", name
        bring = f"set pretrained to the path of their file, and tag: {tag}"
    with _own_words(), needed_from_hub(what, source, bring):
        try:
            model = open_clip.create_model(
                name,
                pretrained=None if name.startswith((LOCAL, HUB)) else tag,
                force_quick_gelu=recipe.quick_gelu,
                require_pretrained=True,
                weights_only=True,
                **options,
            )
        except Exception as error:
            if not name.startswith(LOCAL):
                raise
            raise ConfigError(
                f"open_clip: {name} cannot be loaded ({short(error)})",
                "the folder holds open_clip_config.json and open_clip_model.safetensors (or "
                "open_clip_pytorch_model.bin) of one model",
            ) from error
    return model, recipe.quick_gelu


def _fill(model: Any, state: State, path: Path, name: str) -> None:
    """Give a model its weights, as `open_clip.load_checkpoint` does from a path."""
    state = convert_state_dict(model, state)
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    wanted = model.state_dict()
    for scalar in {"logit_scale", "logit_bias"} & state.keys() & wanted.keys():
        state[scalar] = state[scalar].reshape(wanted[scalar].shape)
    if "logit_bias" in wanted:
        state.setdefault("logit_bias", torch.zeros_like(wanted["logit_bias"]))
    # transformers once saved this buffer.
    position_ids = "text.transformer.embeddings.position_ids"
    if position_ids not in wanted:
        state.pop(position_ids, None)
    before = {key: len(state[key]) for key in _POSITIONS if key in state}
    with contextlib.suppress(AssertionError):  # another width: said below
        resize_pos_embed(state, model)
        resize_text_pos_embed(state, model)
    for key, old in before.items():
        if (new := len(state[key])) != old:
            log.warning(
                "note: %s: %s are interpolated from %d to %d, for the model %s",
                path,
                _POSITIONS[key],
                old,
                new,
                name,
            )
    if misfit := _misfit(state, wanted):
        raise ConfigError(
            f"open_clip: {path} does not fit the model {name}: {misfit}",
            "set `model` to the architecture that the checkpoint was trained with",
        )
    model.load_state_dict(state)


def _misfit(state: State, wanted: Mapping[str, torch.Tensor]) -> str:
    """Say in which tensors a state differs from what a model wants; empty if in none."""
    missing = [name for name in wanted if name not in state]
    more = [name for name in state if name not in wanted]
    shapes = [
        f"{name} {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    kinds = {"missing": missing, "not in the model": more, "of another shape": shapes}
    return "; ".join(
        f"{len(names)} tensors {kind} ({some(names, _NAMES_SHOWN)})"
        for kind, names in kinds.items()
        if names
    )


def _check_finite(model: Any, settings: Mapping[str, Any]) -> None:
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            of = settings["model"], settings["pretrained"]
            raise ConfigError(
                f"open_clip: the weights of {' '.join(of)} are not finite (first: {name})",
                "the checkpoint is of a training that diverged, or was damaged: take another",
            )


@contextlib.contextmanager
def _own_words() -> Iterator[None]:
    """Keep open_clip's log lines out: it calls a model without a tag random."""
    root = logging.getLogger()
    level = root.level
    root.addHandler(nothing := logging.NullHandler())
    root.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(nothing)
