"""How weights in a local file want to be used: activation and preprocessing.

A file of tensors does not say it. open_clip knows both for its own tags; for a path it silently
takes GELU and OpenAI's preprocessing, which gives other features than the same weights by tag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import open_clip
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transform import PreprocessCfg, merge_preprocess_dict

from sreclip.errors import ConfigError, did_you_mean, some
from sreclip.files import file_sha256

TWIN = "-quickgelu"
# An image's size comes from the architecture, its mode is always RGB.
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode", "fill_color")
# Addresses of published weights name the SHA-256 of the file, or its beginning.
_PUBLISHED_SHA256 = re.compile(r"/(?P<whole>[0-9a-f]{64})/|-(?P<start>[0-9a-f]{8})\.pt$")
_TAGS_SHOWN = 4


@dataclass(frozen=True)
class Recipe:
    """Activation and preprocessing of a model; ``origin`` says who knows."""

    quick_gelu: bool
    preprocessing: Mapping[str, Any]
    origin: str = ""

    @classmethod
    def of(cls, quick_gelu: bool, preprocessing: Mapping[str, Any], origin: str = "") -> Self:
        """Make a recipe; what ``preprocessing`` leaves out is as open_clip has it by default."""
        full = merge_preprocess_dict(asdict(PreprocessCfg()), dict(preprocessing))
        plain = {name: full[name] for name in PREPROCESSING}
        plain |= {name: tuple(float(v) for v in plain[name]) for name in ("mean", "std")}
        return cls(quick_gelu, plain, origin)

    def same(self, other: Recipe) -> bool:
        """Tell whether both use a model alike."""
        return replace(self, origin="") == replace(other, origin="")

    def __str__(self) -> str:
        words = ["QuickGELU" if self.quick_gelu else "GELU"]
        return ", ".join(words + [f"{k} {_short(v)}" for k, v in self.preprocessing.items()])


class Companion(NamedTuple):
    """What is known beside the weights: activation, or None, and parts of the preprocessing."""

    quick_gelu: bool | None
    preprocessing: Mapping[str, Any]
    origin: str


def recipe_of(settings: Mapping[str, Any], path: Path, companion: Companion | None) -> Recipe:
    """Find out how the weights in a file want to be used.

    In this order: the settings ``quick_gelu`` and ``preprocessing``, the setting ``tag``, a
    configuration beside the file, the file's SHA-256 if it is one of open_clip's own weights, and
    the tags of the model where they all agree.

    Raises `ConfigError` if that leaves open what the file needs.
    """
    name, tag = settings["model"], settings["tag"]
    by_hand = Companion(
        settings["quick_gelu"],
        {key: value for key, value in settings["preprocessing"].items() if value is not None},
        "set by hand",
    )
    if name.endswith(TWIN) and by_hand.quick_gelu is False:
        raise ConfigError(
            f"open_clip: quick_gelu is false, but {name} is the model with QuickGELU",
            f"set model: {name.removesuffix(TWIN)}",
        )
    if tag is not None:
        return _settled([_of_setting(name, tag)], by_hand)[0]
    recipes = _of_model(name)
    for known in (companion, by_hand):
        if known is not None:
            recipes = _settled(recipes, known)
    if _differ(recipes) and (published := _published_as(name, path)):
        recipes = _settled([tag_recipe(name, published)], by_hand)
    if _differ(recipes):
        raise ConfigError(
            f"open_clip: {path} does not say how it was trained, and weights of {name} differ: "
            + _differences(recipes),
            "set backbone.open_clip.tag to the tag whose weights the file holds, or from which it "
            "was trained further; or quick_gelu and preprocessing by hand; or put the model's "
            "open_clip_config.json beside the file",
        )
    return recipes[0]


def _of_setting(name: str, tag: str) -> Recipe:
    if tag not in open_clip.list_pretrained_tags_by_model(name):
        raise no_such_tag(name, tag, "set quick_gelu and preprocessing", "tag: ")
    return tag_recipe(name, tag)


def no_such_tag(name: str, tag: str, otherwise: str, setting: str = "") -> ConfigError:
    """Return the error that a model has no such tag; ``otherwise`` is what else can be done."""
    tags = open_clip.list_pretrained_tags_by_model(name)
    return ConfigError(
        f"open_clip: {setting}{tag!r} is not a pretrained tag of {name}{did_you_mean(tag, tags)}",
        (f"choose from: {', '.join(tags)}; or " if tags else "it has none: ") + otherwise,
    )


def _of_model(name: str) -> list[Recipe]:
    """Return the recipes of a model's tags; of one with a twin also the plain name's own."""
    recipes = [tag_recipe(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)]
    if not recipes or name + TWIN in open_clip.list_models():
        # What somebody trained under the plain name has the plain name's activation.
        recipes.append(Recipe.of(_has_quick_gelu(name), {}, "open_clip's defaults"))
    return recipes


def _settled(recipes: list[Recipe], known: Companion) -> list[Recipe]:
    """Return what is left of the recipes once something more is known."""
    if known.quick_gelu is not None:
        fitting = [each for each in recipes if each.quick_gelu == known.quick_gelu]
        recipes = fitting or [replace(each, quick_gelu=known.quick_gelu) for each in recipes]
    if known.preprocessing:
        recipes = [
            Recipe.of(each.quick_gelu, {**each.preprocessing, **known.preprocessing}, each.origin)
            for each in recipes
        ]
    if known.quick_gelu is None and not known.preprocessing:
        return recipes
    return [replace(each, origin=f"{each.origin}; {known.origin}") for each in recipes]


def tag_recipe(name: str, tag: str) -> Recipe:
    """Return what open_clip knows of a tag."""
    known = get_pretrained_cfg(name, tag)
    quick_gelu = bool(known.get("quick_gelu")) or _has_quick_gelu(name)
    return Recipe.of(quick_gelu, known, f"tag {tag}")


def read_companion(path: Path) -> Companion | None:
    """Read ``open_clip_config.json`` beside a file of weights."""
    beside = path.parent / "open_clip_config.json"
    if not beside.is_file():
        return None
    config = read_config(beside)
    try:
        quick_gelu = bool(config["model_cfg"].get("quick_gelu", False))
        return Companion(quick_gelu, config.get("preprocess_cfg") or {}, beside.name)
    except (KeyError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{beside} has no `model_cfg`", "it is not a configuration of open_clip; remove it"
        ) from error


def read_config(path: Path) -> Any:
    """Read a JSON file that lies beside weights."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error})", "copy it again") from error


def _published_as(name: str, path: Path) -> str | None:
    """Return the tag whose published file has this file's SHA-256."""
    tags = open_clip.list_pretrained_tags_by_model(name)
    published = {tag: published_sha256(name, tag) for tag in tags}
    if not any(published.values()):
        return None
    found = file_sha256(path)
    return next((tag for tag in tags if published[tag] and found.startswith(published[tag])), None)


def published_sha256(name: str, tag: str) -> str:
    """Return the SHA-256 of a tag's published file, or how it begins; empty if unknown."""
    match = _PUBLISHED_SHA256.search(get_pretrained_cfg(name, tag).get("url", ""))
    return (match["whole"] or match["start"]) if match else ""


def _has_quick_gelu(name: str) -> bool:
    return bool((open_clip.get_model_config(name) or {}).get("quick_gelu", False))


def _differ(recipes: list[Recipe]) -> bool:
    return not all(each.same(recipes[0]) for each in recipes)


def _differences(recipes: list[Recipe]) -> str:
    """Group recipes by what differs among them, and name the tags of each group."""
    facts = [{"quick_gelu": each.quick_gelu, **each.preprocessing} for each in recipes]
    differing = [key for key in facts[0] if any(each[key] != facts[0][key] for each in facts)]
    groups: dict[str, list[str]] = {}
    for recipe, fact in zip(recipes, facts, strict=True):
        what = ", ".join(_fact(key, fact[key]) for key in differing)
        groups.setdefault(what, []).append(recipe.origin.split(";")[0].removeprefix("tag "))
    return "; ".join(f"{what} ({some(who, _TAGS_SHOWN)})" for what, who in groups.items())


def _fact(key: str, value: Any) -> str:
    if key == "quick_gelu":
        return "QuickGELU" if value else "GELU"
    return f"{key} {_short(value)}"


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(dict.fromkeys(f"{v:.3g}" for v in value))
    return str(value)
