"""Settings of the tasks, one model per task."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sreclip.config.section import OneOf, Section
from sreclip.data.benchmarks import describe
from sreclip.data.tasks import TASKS
from sreclip.files import expanded


class OpenmojiSettings(Section):
    """The demo task: colour emoji as the source domain, line drawings as the target."""

    image_size: int = Field(
        224, ge=32, le=1024, description="Side of the rendered images, in pixels."
    )


_OUTSIDE_LINKS = Field(
    False,
    description="Follow links below the root that lead out of it; they are an error otherwise.",
)


class FolderSettings(Section):
    """Your own images: ``source/<class>/*`` and ``target/*``."""

    root: str = Field("", description="Data root: the folder that holds both domains.")
    source: str = Field("source", description="Source domain, a folder below the root.")
    target: str = Field("target", description="Target domain, a folder below the root.")
    classes: str | None = Field(
        None,
        description="Class list (text, CSV or JSON), below the root or absolute; without it the "
        "classes are the class folders of both domains.",
    )
    outside_links: bool = _OUTSIDE_LINKS


class BenchmarkSettings(Section):
    """Where the images of a benchmark lie; also the options of `sreclip data check`."""

    root: str = Field("", description="Data root: the folder that holds both domains.")
    source_folder: str | None = Field(
        None,
        description="Where the source lies below the root (folder or archive); by default in one "
        "of the usual places.",
    )
    target_folder: str | None = Field(None, description="The same for the target.")
    source_list: list[str] = Field(
        [],
        description="Files that list source images (one path and class number per line), below "
        "the root or absolute; without them all images in class folders count.",
    )
    target_list: list[str] = Field([], description="The same for the target.")
    outside_links: bool = _OUTSIDE_LINKS


class I2AwaSettings(BenchmarkSettings):
    """I2AwA: web images of 40 animals, and AwA2."""


class I2WebvSettings(BenchmarkSettings):
    """I2WebV: ImageNet-1k, and WebVision 2.0's validation images."""

    synsets: str | None = Field(
        None,
        description="File of WordNet ids in the order of the class numbers, such as WebVision's "
        "`info/synsets.txt`: needed if a list names images that lie in no class folder.",
    )


class PairSettings(BenchmarkSettings):
    """A benchmark of several domains, of which two are used."""

    @model_validator(mode="after")
    def _two_domains(self) -> PairSettings:
        if vars(self)["source"] == vars(self)["target"]:
            raise ValueError("source and target are the same domain")
        return self


def _domains(benchmark: str) -> OneOf:
    return OneOf(tuple(describe(benchmark)["domains"]))


class PacsSettings(PairSettings):
    """PACS: any two of its four domains."""

    source: Annotated[str, _domains("pacs")] = Field("photo", description="Source domain.")
    target: Annotated[str, _domains("pacs")] = Field("art_painting", description="Target domain.")


class OfficeHomeSettings(PairSettings):
    """Office-Home: any two of its four domains."""

    source: Annotated[str, _domains("office_home")] = Field(
        "real_world", description="Source domain."
    )
    target: Annotated[str, _domains("office_home")] = Field("art", description="Target domain.")


class DomainNetSettings(PairSettings):
    """DomainNet: any two of its six domains; or its mini version, of four."""

    source: Annotated[str, _domains("domainnet")] = Field("real", description="Source domain.")
    target: Annotated[str, _domains("domainnet")] = Field("sketch", description="Target domain.")
    mini: bool = Field(False, description="Take only the 126 classes of miniDomainNet.")

    @model_validator(mode="after")
    def _mini_has_the_domains(self) -> DomainNetSettings:
        mini = describe("domainnet")["mini"]["domains"]
        if self.mini and not {self.source, self.target} <= mini.keys():
            raise ValueError(f"the mini version has the domains {', '.join(mini)}")
        return self


class ReadyFeaturesSettings(Section):
    """Features that were made elsewhere, with labels, class names and class texts.

    A file is named below the root or absolute; `FILE:NAME` is an array in it, or a column. A
    folder or a pattern (`img_emb/*.npy`) stands for parts in their natural order. See
    [ready-features.md](ready-features.md).
    """

    root: str = Field("", description="Data root: the folder of the files.")
    source: str = Field("source.npy", description="Features of the source, one row per image.")
    source_labels: str = Field(
        "source_labels.npy", description="Class number (from 0) or name of each source row."
    )
    target: str = Field("target.npy", description="Features of the target.")
    target_labels: str | None = Field(
        None, description="The same of the target, for the evaluation alone; -1 or empty: unknown."
    )
    classes: str = Field(
        "classes.csv",
        description="Class list in label order (text, CSV or JSON), or an array of names.",
    )
    text: str | None = Field(
        None,
        description="Text vectors of the classes, in their order: one row per class, or one per "
        "class and template (three dimensions); without it backbone.precomputed.text_encoder "
        "encodes the names.",
    )
    nodes: str | None = Field(
        None,
        description="Text vectors of graph nodes, as `sreclip export-features nodes` writes.",
    )
    node_names: str | None = Field(None, description="Names of these nodes.")
    source_ids: str | None = Field(
        None,
        description="Names of the source rows, such as paths of images; by default numbers.",
    )
    target_ids: str | None = Field(None, description="The same of the target.")
    images: str | None = Field(
        None,
        description="Folder in which the target's ids are paths of images, which the page shows.",
    )

    @model_validator(mode="after")
    def _nodes_have_names(self) -> ReadyFeaturesSettings:
        if (self.nodes is None) != (self.node_names is None):
            raise ValueError("nodes and node_names belong together: set both or neither")
        return self


def _filled(value: Any) -> Any:
    if isinstance(value, list):
        return [_filled(each) for each in value]
    return str(expanded(value)) if isinstance(value, str) and value else value


class TaskSettings(Section):
    """Which images and classes."""

    name: Annotated[str, OneOf(tuple(TASKS))] = Field("openmoji", description="Registered task.")
    openmoji: OpenmojiSettings = OpenmojiSettings()
    folder: FolderSettings = FolderSettings()
    ready_features: ReadyFeaturesSettings = ReadyFeaturesSettings()
    i2awa: I2AwaSettings = I2AwaSettings()
    i2webv: I2WebvSettings = I2WebvSettings()
    office_home: OfficeHomeSettings = OfficeHomeSettings()
    pacs: PacsSettings = PacsSettings()
    domainnet: DomainNetSettings = DomainNetSettings()
    duplicates: Literal["error", "drop_target", "keep"] = Field(
        "error",
        description="What to do with one image (by SHA-256) in both domains: stop, drop it from "
        "the target, or keep both.",
    )
    shard_size: int = Field(
        4096, ge=1, description="Images per feature file, on average; the cut follows content."
    )

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the chosen task alone, with ``~`` and variables (``$HOME``) filled in."""
        return {
            name: _filled(value) for name, value in getattr(self, self.name).model_dump().items()
        }

    @model_validator(mode="after")
    def _has_a_root(self) -> TaskSettings:
        if self.settings.get("root") == "":
            raise ValueError(f"task.{self.name}.root is needed when task.name is '{self.name}'")
        return self
