"""The model tree of ``params.yaml``: every key, its type, its bounds and what it means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from sreclip.backbones import BACKBONES
from sreclip.config.methods import MethodsSettings, registered_methods
from sreclip.config.section import Section
from sreclip.data.tasks import TASKS
from sreclip.registry import one_of

Share = Annotated[float, Field(ge=0, le=1)]


class OpenmojiSettings(Section):
    """The demo task: colour emoji as the source domain, line drawings as the target."""

    picture_size: int = Field(
        224, ge=32, le=2048, description="Side of the rendered pictures, in pixels."
    )


class FolderSettings(Section):
    """Your own pictures: ``source/<class>/*`` and ``target/*``."""

    root: str = Field("", description="Data root: the folder that holds both domains.")
    source: str = Field("source", description="Source domain, a folder below the root.")
    target: str = Field("target", description="Target domain, a folder below the root.")
    classes: str | None = Field(
        None,
        description="Class list (text, CSV or JSON), below the root or absolute; without it the "
        "classes are the class folders of both domains.",
    )


class BenchmarkSettings(Section):
    """Where the pictures of a benchmark lie."""

    root: str = Field("", description="Data root: the folder that holds both domains.")
    source_folder: str | None = Field(
        None,
        description="Where the source lies below the root (folder or archive); by default where "
        "it usually does.",
    )
    target_folder: str | None = Field(None, description="The same of the target.")
    source_list: list[str] = Field(
        [],
        description="Files that list source pictures (a path and a class number a line), below the "
        "root or absolute; without them all pictures in class folders count.",
    )
    target_list: list[str] = Field([], description="The same of the target.")


class I2AwaSettings(BenchmarkSettings):
    """I2AwA: web pictures of 40 animals, and AwA2."""


class I2WebvSettings(BenchmarkSettings):
    """I2WebV: ImageNet-1k, and WebVision 2.0's validation pictures."""

    synsets: str | None = Field(
        None,
        description="File of WordNet ids in the order of the class numbers, such as WebVision's "
        "`info/synsets.txt`: needed where a list names pictures that lie in no class folder.",
    )


PacsDomain = Literal["art_painting", "cartoon", "photo", "sketch"]


class PacsSettings(BenchmarkSettings):
    """PACS: any two of its four domains."""

    source: PacsDomain = Field("photo", description="Source domain.")
    target: PacsDomain = Field("art_painting", description="Target domain.")


OfficeHomeDomain = Literal["art", "clipart", "product", "real_world"]


class OfficeHomeSettings(BenchmarkSettings):
    """Office-Home: any two of its four domains."""

    source: OfficeHomeDomain = Field("real_world", description="Source domain.")
    target: OfficeHomeDomain = Field("art", description="Target domain.")


DomainNetDomain = Literal["clipart", "infograph", "painting", "quickdraw", "real", "sketch"]


class DomainNetSettings(BenchmarkSettings):
    """DomainNet: any two of its six domains; or its mini version, of four."""

    source: DomainNetDomain = Field("real", description="Source domain.")
    target: DomainNetDomain = Field("sketch", description="Target domain.")
    mini: bool = Field(False, description="Take the 126 classes of miniDomainNet alone.")

    @model_validator(mode="after")
    def _mini_has_the_domains(self) -> DomainNetSettings:
        if self.mini and {self.source, self.target} & {"infograph", "quickdraw"}:
            raise ValueError("the mini version has the domains clipart, painting, real and sketch")
        return self


class TaskSettings(Section):
    """Which pictures and classes."""

    name: str = Field("openmoji", description="Registered task.")
    openmoji: OpenmojiSettings = OpenmojiSettings()
    folder: FolderSettings = FolderSettings()
    i2awa: I2AwaSettings = I2AwaSettings()
    i2webv: I2WebvSettings = I2WebvSettings()
    office_home: OfficeHomeSettings = OfficeHomeSettings()
    pacs: PacsSettings = PacsSettings()
    domainnet: DomainNetSettings = DomainNetSettings()
    duplicates: Literal["error", "drop_target", "keep"] = Field(
        "error",
        description="What to do with one picture (by SHA-256) in both domains: stop, drop it from "
        "the target, or keep both.",
    )
    shard_size: int = Field(
        4096, ge=1, description="Pictures in a feature file, on average; the cut follows content."
    )

    _registered = field_validator("name")(one_of("task", TASKS))

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the chosen task alone."""
        return getattr(self, self.name).model_dump()

    @model_validator(mode="after")
    def _can_be_found(self) -> TaskSettings:
        settings = self.settings
        if settings.get("root") == "":
            raise ValueError(f"task.{self.name}.root is needed when task.name is '{self.name}'")
        is_pair = "source_list" in settings and "source" in settings
        if is_pair and settings["source"] == settings["target"]:
            raise ValueError(f"task.{self.name}: source and target are the same domain")
        return self


class SplitSettings(Section):
    """Which classes count as unknown, that is, have no label anywhere."""

    unknown: Literal["auto"] | int | list[str] = Field(
        "auto",
        description="Names of the unknown classes; or how many to draw at random; or 'auto': the "
        "classes without a source picture.",
    )
    seed: int = Field(0, ge=0, description="Seed of the draw when `unknown` is a number.")

    @field_validator("unknown")
    @classmethod
    def _sensible(cls, value: str | int | list[str]) -> str | int | list[str]:
        if isinstance(value, int) and value < 0:
            raise ValueError("the number of unknown classes cannot be negative")
        if isinstance(value, list) and len(set(value)) != len(value):
            raise ValueError("a class is named twice")
        return value


class OpenClipSettings(Section):
    """A CLIP model of open_clip."""

    model: str = Field("ViT-B-16", description="Model name as open_clip lists it.")
    pretrained: str = Field(
        "openai", description="Weights tag of that model, or the path of a local checkpoint."
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Arithmetic of the forward pass."
    )


class MiniSettings(Section):
    """The small offline substitute; it has nothing to set."""


class BackboneSettings(Section):
    """The frozen image-text model."""

    name: str = Field("mini", description="Registered backbone.")
    open_clip: OpenClipSettings = OpenClipSettings()
    mini: MiniSettings = MiniSettings()

    _registered = field_validator("name")(one_of("backbone", BACKBONES))

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the chosen backbone alone."""
        return getattr(self, self.name).model_dump()

    @property
    def label(self) -> str:
        """Name in results and paths."""
        if self.name == "open_clip":
            return f"{self.open_clip.model}-{Path(self.open_clip.pretrained).stem}"
        return self.name


class PromptSettings(Section):
    """Prompt ensemble for class and node names."""

    templates: list[str] = Field(
        ["a photo of a {}."],
        min_length=1,
        description="Sentences with one `{}` each, where the name goes.",
    )

    @field_validator("templates")
    @classmethod
    def _one_gap(cls, templates: list[str]) -> list[str]:
        for template in templates:
            if template.count("{}") != 1:
                raise ValueError(f"template {template!r} must hold exactly one {{}}")
        return templates


class FeatureSettings(Section):
    """Extraction and storage of frozen features."""

    dtype: Literal["float16", "float32"] = Field(
        "float16", description="Stored type of image features."
    )
    batch_size: int = Field(64, ge=1, description="Pictures in a forward pass.")
    workers: int = Field(1, ge=0, description="Decoding processes beside the model.")
    device: str = Field("cpu", description="`cpu`, `cuda` or `cuda:N`.")
    max_rejects: Share = Field(
        0.05,
        description="Largest fraction of undecodable images per domain; checked when features are "
        "read for a fit.",
    )
    max_pixels: int = Field(
        178_956_970, ge=1, description="Largest picture that is decoded, in pixels."
    )
    reduced_jpeg: bool = Field(
        False,
        description="Decode large JPEG files at a half, a quarter or an eighth of their size, at "
        "least twice what the backbone resizes them to: faster, slightly other features.",
    )
    decode_limit: float = Field(
        60.0,
        gt=0,
        description="Seconds after which a picture that is still being decoded is rejected; "
        "without decoding processes there is no limit.",
    )


class GraphSettings(Section):
    """Class relation graph over WordNet."""

    senses: dict[str, str] = Field(
        {}, description="WordNet ids for class names whose sense you want to pin."
    )
    include_imagenet: bool = Field(
        False, description="Add the ImageNet-1k classes near the hierarchy, as UODTN does."
    )
    allow_unmapped: bool = Field(
        False, description="Let a class without a WordNet sense join by text similarity."
    )
    sense_text_weight: Share = Field(
        0.5, description="Weight of text similarity against hierarchy closeness in choosing senses."
    )
    similarity: Literal["wu_palmer", "path", "lin"] = Field(
        "wu_palmer", description="WordNet similarity of two classes."
    )
    text_weight: Share = Field(
        0.0, description="Weight of the text cosine in the relation R; the rest is WordNet's."
    )


Variants = dict[str, list[dict[str, Any]]]


def _only_methods(variants: Variants) -> Variants:
    registered_methods(list(variants))
    return variants


class SelectionSettings(Section):
    """How a method's settings are chosen among candidates."""

    rule: Literal["last", "pseudo_unknown", "oracle"] = Field(
        "last",
        description="`last`: nothing is chosen; `pseudo_unknown`: by H on held-out source images, "
        "some known classes held out as unknown; `oracle`: by H on the target's labels, an upper "
        "bound and no result.",
    )
    candidates: Variants = Field(
        {},
        description="For each method a list of settings to choose from, each a mapping that goes "
        "over `methods.NAME`; a method without candidates keeps its own.",
    )
    folds: int = Field(3, ge=1, description="Draws of pseudo-unknown classes.")
    holdout: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="Share of each remaining known class's source images that is scored."
    )
    seed: int = Field(0, ge=0, description="Seed of the draws.")

    _methods = field_validator("candidates")(_only_methods)

    @field_validator("candidates")
    @classmethod
    def _not_empty(cls, candidates: Variants) -> Variants:
        for name, variants in candidates.items():
            if not variants:
                raise ValueError(f"{name}: name at least one candidate ({{}} for the settings)")
        return candidates


class TrainSettings(Section):
    """What all methods share in training."""

    seeds: list[int] = Field(
        [0, 1, 2, 3, 4], min_length=1, description="One fit a seed; figures are over these."
    )
    device: str = Field("cpu", description="`cpu`, `cuda` or `cuda:N`.")
    checkpoints: int = Field(
        0,
        ge=0,
        le=1000,
        description="Earlier states to keep of each fit in steps, at equal distances; looked at by "
        "`evaluate.protocol: reference` alone. 9 of the reference's 3,000 steps are every 300th, "
        "where its authors test.",
    )
    selection: SelectionSettings = SelectionSettings()

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError("seeds must be distinct and not negative")
        return seeds


class SweepSettings(Section):
    """A table of methods x splits x variants; each combination is one job over all seeds."""

    methods: list[str] = Field([], description="Methods; none named: those of `methods.run`.")
    unknown: list[list[str]] = Field([], description="Splits by name: the unknown classes of each.")
    draws: int = Field(0, ge=0, description="Random splits, by the rule of `split.unknown: N`.")
    first_draw: int = Field(0, ge=0, description="Seed of the first random split.")
    size: int = Field(
        0, ge=0, description="Unknown classes of a random split; 0: as many as `split` has."
    )
    every: int = Field(
        0, ge=0, description="Take every choice of so many unknown classes as a split, too."
    )
    variants: Variants = Field(
        {},
        description="For each method a list of mappings that go over `methods.NAME`, one fit each; "
        "`{}` stands for the settings as they are.",
    )
    ablate: list[str] = Field(
        [], description="Methods whose parts are switched off, in turn and together."
    )

    _registered = field_validator("methods", "ablate")(registered_methods)
    _methods = field_validator("variants")(_only_methods)


class EvaluateSettings(Section):
    """Metrics and intervals."""

    ece_bins: int = Field(15, ge=1, description="Equal-width confidence bins of the ECE.")
    confidence: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="Level of the Student-t and bootstrap intervals; differences are marked where "
        "the adjusted p is below 1 minus this.",
    )
    bootstrap: int = Field(
        2000,
        ge=0,
        le=100_000,
        description="Resamples of the test images behind `significance.csv`; 0 switches it off. "
        "No p is below 2 / (resamples + 1).",
    )
    bootstrap_seed: int = Field(0, ge=0, description="Seed of the resamples.")
    protocol: Literal["ours", "reference"] = Field(
        "ours",
        description="`ours`: the last step, mixed batches, no target label has a part in it; "
        "`reference`: as SRE-CLIP's authors evaluate, the best of `train.checkpoints` on the test "
        "labels for each metric and class-sorted batches: for comparison with published numbers "
        "only, never a result.",
    )


Colour = Annotated[str, Field(pattern=r"^(#[0-9a-fA-F]{6}|[a-z]{3,24})$")]


class ColourSettings(Section):
    """Colours of the page: ``#rrggbb`` or a CSS name."""

    known: Colour = Field("#3b6fb6", description="Known classes.")
    unknown: Colour = Field("#d9822b", description="Unknown classes.")


class ReportSettings(Section):
    """The page."""

    title: str = Field("sreclip report", description="Title of the page.")
    pictures: int = Field(24, ge=0, description="Target pictures in the strip.")
    colors: ColourSettings = ColourSettings()
    seed: int = Field(0, ge=0, description="Seed that picks the pictures of the strip.")


class Params(Section):
    """All parameters of a run."""

    task: TaskSettings = TaskSettings()
    split: SplitSettings = SplitSettings()
    backbone: BackboneSettings = BackboneSettings()
    prompts: PromptSettings = PromptSettings()
    features: FeatureSettings = FeatureSettings()
    graph: GraphSettings = GraphSettings()
    methods: MethodsSettings = MethodsSettings()
    train: TrainSettings = TrainSettings()
    sweep: SweepSettings = SweepSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    report: ReportSettings = ReportSettings()

    @model_validator(mode="after")
    def _variants_fit(self) -> Params:
        places = {
            "train.selection.candidates": self.train.selection.candidates,
            "sweep.variants": self.sweep.variants,
        }
        for place, variants in places.items():
            for name, number, overrides in _numbered(variants):
                try:
                    self.methods.changed(name, overrides)
                except ValueError as error:
                    raise ValueError(f"{place}.{name}[{number}].{error}") from None
        for name in self.sweep.ablate:
            if not self.methods.settings(name).parts:
                raise ValueError(f"sweep.ablate: {name} has no part that can be switched off")
        return self


def _numbered(variants: Variants) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for name, choices in variants.items():
        for number, overrides in enumerate(choices):
            yield name, number, overrides
