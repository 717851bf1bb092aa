"""Settings of the backbones, one model per backbone."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from sreclip.backbones import BACKBONES, CONFIGURATIONS, HUB, LOCAL, is_path
from sreclip.config.method import Positive
from sreclip.config.section import OneOf, Section
from sreclip.files import expanded
from sreclip.registry import load_registered

if TYPE_CHECKING:
    from sreclip.backbones.base import Backbone, Checked


Triple = tuple[float, float, float]


class BackboneModel(Section):
    """Base of a backbone's own settings."""

    @property
    def label(self) -> str | None:
        """Name in results and paths; None for the registered name."""
        return None

    @property
    def files(self) -> list[Path]:
        """Local files that decide the features, and that the user may replace."""
        return []

    @property
    def files_sha256(self) -> str | None:
        """The SHA-256 that the files must have, if one is set."""
        return None

    @property
    def paths(self) -> set[str] | dict[str, set[str]]:
        """Settings that say where the files are, and nothing else."""
        return set()

    @property
    def encodes_text(self) -> bool:
        """Whether names can be encoded."""
        return True


class PreprocessingSettings(Section):
    """How images are prepared for weights in a local file; what is left out is found elsewhere."""

    mean: Triple | None = Field(None, description="Mean of red, green and blue, of 0..1.")
    std: tuple[Positive, Positive, Positive] | None = Field(
        None, description="Standard deviation of the same."
    )
    interpolation: Literal["bicubic", "bilinear", "nearest"] | None = Field(
        None, description="Filter of the resizing."
    )
    resize_mode: Literal["shortest", "longest", "squash"] | None = Field(
        None,
        description="`shortest`: the short side is resized and the middle cropped; `longest`: the "
        "long side, and the rest is filled; `squash`: both sides, whatever their ratio.",
    )


class OpenClipSettings(BackboneModel):
    """A CLIP model of open_clip."""

    model: str = Field(
        "ViT-B-16",
        description="Model name as open_clip lists it; or `local-dir:FOLDER` or "
        "`hf-hub:ORG/NAME`, which hold the weights and how to use them.",
    )
    pretrained: str = Field(
        "openai",
        description="Weights tag of that model, or the path of a local checkpoint; not used with "
        "`local-dir:` and `hf-hub:`.",
    )
    tag: str | None = Field(
        None,
        description="For a local checkpoint: the tag of the model whose weights the file holds, or "
        "from which it was trained further. It decides activation and preprocessing.",
    )
    quick_gelu: bool | None = Field(
        None,
        description="For a local checkpoint: whether its activation is QuickGELU (weights of "
        "OpenAI, DFN, MetaCLIP) or GELU.",
    )
    preprocessing: PreprocessingSettings = PreprocessingSettings()
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None,
        description="For a local checkpoint: the SHA-256 that `sreclip check` shows. Another file "
        "is refused; where the file is missing, results that were made with it are still found.",
    )
    tokenizer: str | None = Field(
        None,
        description="Folder of the tokenizer's files, for models whose tokenizer comes from the "
        "Hub, where that cannot be reached; with text towers of transformers (RoBERTa, mT5) also "
        "of their config.json.",
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Arithmetic of the forward pass."
    )

    @property
    def label(self) -> str:
        """Model and weights."""
        label = f"{self.model}-{Path(self.pretrained).stem}"
        if self.model.startswith((LOCAL, HUB)):
            folder = Path(self.model)
            # In the Hub's cache a folder's own name is a hash.
            snapshot = folder.parent.name == "snapshots"
            label = folder.parents[1].name.removeprefix("models--") if snapshot else folder.name
        return re.sub(r"[^\w.+-]", "_", label)

    @property
    def files(self) -> list[Path]:
        """Local files that decide the features."""
        found = _files_in(self.tokenizer) if self.tokenizer is not None else []
        if self.model.startswith(LOCAL):
            folder = self.model.removeprefix(LOCAL)
            return [*(_files_in(folder) or [expanded(folder) / CONFIGURATIONS[0]]), *found]
        if not self.model.startswith(HUB) and is_path(self.pretrained):
            path = expanded(self.pretrained)
            beside = [path.with_name(name) for name in CONFIGURATIONS]
            return [path, *(other for other in beside if other.is_file()), *found]
        return found

    @property
    def files_sha256(self) -> str | None:
        """The SHA-256 that the files must have, if one is set."""
        return self.sha256

    @property
    def paths(self) -> set[str]:
        """Settings that say where the files are, and nothing else."""
        local_model = {"model"} if self.model.startswith(LOCAL) else set()
        local_weights = {"pretrained"} if is_path(self.pretrained) else set()
        return {"sha256", "tokenizer", *local_model, *local_weights}


def _files_in(folder: str) -> list[Path]:
    return sorted(path for path in expanded(folder).glob("*") if path.is_file())


class MiniSettings(BackboneModel):
    """The small offline substitute; it has nothing to set."""


class PrecomputedSettings(BackboneModel):
    """What made the features of the task `ready_features`."""

    made_by: str = Field(
        "unknown",
        pattern=r"^\w",
        description="The model, such as ViT-B-32-openai: the name in results and paths.",
    )
    logit_scale: float = Field(
        100.0, gt=0, description="Its factor from cosine to logits, about 100 for CLIP."
    )
    text_encoder: OpenClipSettings | None = Field(
        None,
        description="The same model in open_clip, as `backbone.open_clip`: its text tower encodes "
        "node names, and class names where no file holds their vectors.",
    )

    @property
    def label(self) -> str:
        """Name in results and paths."""
        return re.sub(r"[^\w.+-]", "_", self.made_by)

    @property
    def files(self) -> list[Path]:
        """Local files of the text encoder."""
        return self.text_encoder.files if self.text_encoder else []

    @property
    def files_sha256(self) -> str | None:
        """The SHA-256 that the files must have, if one is set."""
        return self.text_encoder.sha256 if self.text_encoder else None

    @property
    def paths(self) -> dict[str, set[str]]:
        """Settings that say where the files are, and nothing else."""
        return {"text_encoder": self.text_encoder.paths} if self.text_encoder else {}

    @property
    def encodes_text(self) -> bool:
        """Whether names can be encoded."""
        return self.text_encoder is not None


class BackboneSettings(Section):
    """The frozen image-text model."""

    name: Annotated[str, OneOf(tuple(BACKBONES))] = Field(
        "mini", description="Registered backbone."
    )
    open_clip: OpenClipSettings = OpenClipSettings()
    mini: MiniSettings = MiniSettings()
    precomputed: PrecomputedSettings = PrecomputedSettings()

    @property
    def chosen(self) -> BackboneModel:
        """Settings of the named backbone."""
        chosen: BackboneModel = getattr(self, self.name)
        return chosen

    @property
    def label(self) -> str:
        """Name in results and paths."""
        return self.chosen.label or self.name

    def check(self) -> Checked:
        """Tell what can be known of the backbone without a network; raises as `load`."""
        module = importlib.import_module(BACKBONES[self.name].partition(":")[0])
        checked: Checked = module.check(self.chosen.model_dump(), self.label)
        return checked

    def load(self, device: str) -> Backbone:
        """Load the backbone on a device such as ``cpu`` or ``cuda:0``.

        Raises `ConfigError` if it cannot be made from these settings, or not on this machine.
        """
        load = load_registered("backbone", self.name, BACKBONES)
        backbone: Backbone = load(self.chosen.model_dump(), self.label, device)
        return backbone
