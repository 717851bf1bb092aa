"""The model tree of ``params.yaml``: every key, its type, its bounds and what it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from sreclip.config.backbones import BackboneSettings
from sreclip.config.method import Fraction
from sreclip.config.methods import MethodsSettings, registered_methods
from sreclip.config.section import Device, Section
from sreclip.config.tasks import TaskSettings


class SplitSettings(Section):
    """Which classes count as unknown, that is, have no label anywhere."""

    unknown: Literal["auto"] | int | list[str] = Field(
        "auto",
        description="Names of the unknown classes; or how many to draw at random; or 'auto': the "
        "classes without a source image.",
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


class PromptSettings(Section):
    """Prompt ensemble for class and node names."""

    templates: list[str] = Field(
        ["a photo of a {}."],
        min_length=1,
        description="Sentences with one `{}` each, for the name.",
    )
    synonyms: dict[str, list[str]] = Field(
        {},
        description="Further names of classes, which go through the templates beside the class's "
        "own; all are averaged.",
    )
    file: str | None = Field(
        None,
        description="Sentences per class: CSV with the columns `class` and `prompt`, several rows "
        "per class, or YAML, a list of sentences per class.",
    )
    mode: Literal["beside", "instead"] = Field(
        "beside",
        description="`beside`: a sentence of the file counts as one more template of its class; "
        "`instead`: the sentences alone make the class vectors, and each class needs one.",
    )
    background: list[str] = Field(
        [],
        description="Sentences for images that show none of the classes. Each competes with the "
        "class texts, and predictions say which images show something else; fits and metrics know "
        "nothing of it.",
    )

    @field_validator("synonyms")
    @classmethod
    def _names(cls, synonyms: dict[str, list[str]]) -> dict[str, list[str]]:
        for name, others in synonyms.items():
            if not others or not all(other.strip() for other in others):
                raise ValueError(f"{name!r} has no synonym, or one that is empty")
            if len(set(others)) != len(others):
                raise ValueError(f"{name!r} has a synonym twice")
        return synonyms

    @field_validator("background")
    @classmethod
    def _sentences(cls, background: list[str]) -> list[str]:
        if not all(sentence.strip() for sentence in background):
            raise ValueError("a sentence is empty")
        if len(set(background)) != len(background):
            raise ValueError("a sentence is there twice")
        for sentence in background:
            if "{}" in sentence:
                raise ValueError(f"{sentence!r}: {{}} belongs into prompts.templates alone")
        return background

    @model_validator(mode="after")
    def _mode_has_a_file(self) -> PromptSettings:
        if self.mode == "instead" and self.file is None:
            raise ValueError("mode: instead needs file, which holds the sentences")
        return self

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
    batch_size: int = Field(64, ge=1, description="Images per forward pass.")
    workers: int = Field(1, ge=0, description="Decoding processes beside the model.")
    device: Device = Field("cpu", description="`cpu`, `cuda`, `cuda:N` or `mps`.")
    max_rejects: Fraction = Field(
        0.05,
        description="Largest fraction of undecodable images per domain; checked when features are "
        "read for a fit.",
    )
    max_pixels: int = Field(
        178_956_970, ge=1, description="Largest image that is decoded, in pixels."
    )
    reduced_jpeg: bool = Field(
        False,
        description="Decode large JPEG files at a half, a quarter or an eighth of their size, at "
        "least twice what the backbone resizes them to: faster, slightly different features.",
    )
    decode_limit: float = Field(
        60.0,
        gt=0,
        description="Seconds after which an image that is still being decoded is rejected; "
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
        False,
        description="Let classes that WordNet lacks join below the classes of similar text, or "
        "below the root where there is none.",
    )
    sense_text_weight: Fraction = Field(
        0.5, description="Weight of text similarity against hierarchy closeness in choosing senses."
    )
    similarity: Literal["wu_palmer", "path", "lin"] = Field(
        "wu_palmer", description="WordNet similarity of two classes."
    )
    text_weight: Fraction = Field(
        0.0, description="Weight of the text cosine in the relation R; the rest is WordNet's."
    )


def _only_methods(variants: dict[str, Any]) -> dict[str, Any]:
    registered_methods(list(variants))
    return variants


Variants = Annotated[dict[str, list[dict[str, Any]]], AfterValidator(_only_methods)]


class SelectionSettings(Section):
    """How a method's settings are chosen among candidates."""

    rule: Literal["last", "pseudo_unknown", "oracle"] = Field(
        "last",
        description="`last`: nothing is chosen; `pseudo_unknown`: by H on held-out source images, "
        "some known classes held out as unknown; `oracle`: by H on the target's labels, an upper "
        "bound and not a result.",
    )
    candidates: Variants = Field(
        {},
        description="For each method a list of settings to choose from, each a mapping that "
        "overrides `methods.NAME`; a method without candidates keeps its own.",
    )
    folds: int = Field(3, ge=1, description="Draws of pseudo-unknown classes.")
    holdout: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="Fraction of each remaining known class's source images that is scored."
    )
    seed: int = Field(0, ge=0, description="Seed of the draws.")

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
        [0, 1, 2, 3, 4], min_length=1, description="One fit per seed; figures are over these."
    )
    device: Device = Field("cpu", description="`cpu`, `cuda`, `cuda:N` or `mps`.")
    cores: int = Field(1, ge=1, description="Cores per job of fits.")
    job_minutes: float = Field(
        10.0,
        ge=0,
        description="How long a job should take that makes many small fits and evaluations, one "
        "after the other. A fit that is expected to take longer has a job of its own; with 0 every "
        "fit and every evaluation has.",
    )
    checkpoints: int = Field(
        0,
        ge=0,
        le=1000,
        description="Earlier states to keep of each fit in steps, at equal distances; used only by "
        "`evaluate.protocol: reference`. 9 of the reference's 3,000 steps are every 300th, "
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

    methods: list[str] = Field([], description="Methods; if none is named, those of `methods.run`.")
    unknown: list[list[str]] = Field([], description="Splits by name: the unknown classes of each.")
    draws: int = Field(0, ge=0, description="Random splits, by the rule of `split.unknown: N`.")
    first_draw: int = Field(0, ge=0, description="Seed of the first random split.")
    size: int = Field(
        0, ge=0, description="Unknown classes per random split; 0: as many as `split` has."
    )
    every: int = Field(
        0, ge=0, description="Also take every choice of this many unknown classes as a split."
    )
    variants: Variants = Field(
        {},
        description="For each method a list of mappings that override `methods.NAME`, one fit per "
        "mapping; `{}` means the settings as they are.",
    )
    ablate: list[str] = Field(
        [], description="Methods whose parts are switched off, in turn and together."
    )

    _registered = field_validator("methods", "ablate")(registered_methods)


class EvaluateSettings(Section):
    """Metrics and intervals."""

    labels: str | None = Field(
        None,
        description="Labels that were given to target images by hand: CSV with the columns `path` "
        "and `class`, as `sreclip label` writes it. They come before those of class folders and "
        "lists.",
    )
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
        description="Resamples and permutations of the test images behind `significance.csv`; 0 "
        "switches it off. No p is below 1 / (resamples + 1).",
    )
    bootstrap_seed: int = Field(0, ge=0, description="Seed of both.")
    protocol: Literal["ours", "reference"] = Field(
        "ours",
        description="`ours`: the last step, mixed batches, no target label is used; "
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
    """The page, and the model that a run keeps."""

    title: str = Field("sreclip report", description="Title of the page.")
    images: int = Field(24, ge=0, description="Target images in the strip.")
    gallery: int = Field(
        300,
        ge=0,
        description="Labelled target images that can be opened from the figures, of each class in "
        "turn, and half as many of each domain from the map; 0: none.",
    )
    colors: ColourSettings = ColourSettings()
    seed: int = Field(0, ge=0, description="Seed that draws the images of the page.")
    map: Literal["pca", "umap"] = Field(
        "pca",
        description="How the map of the features is drawn: by principal axes, or by UMAP, which "
        "wants umap-learn (`pip install umap-learn`).",
    )
    model: str | None = Field(
        None,
        description="Method of `methods.run` whose fit the run keeps as a model folder below "
        "`results/kept`, for `sreclip predict`; null: none.",
    )


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
    def _ready_features_fit(self) -> Params:
        task, backbone = self.task.name, self.backbone.name
        if (task == "ready_features") != (backbone == "precomputed"):
            raise ValueError(
                "task.name: ready_features and backbone.name: precomputed go together, found "
                f"task.name: {task} and backbone.name: {backbone}"
            )
        files = self.task.ready_features
        if self.prompts.background and not self.backbone.chosen.encodes_text:
            raise ValueError(
                "prompts.background needs backbone.precomputed.text_encoder, which encodes it"
            )
        if task != "ready_features" or self.backbone.chosen.encodes_text:
            return self
        if files.text is None:
            raise ValueError(
                "task.ready_features.text is needed, or backbone.precomputed.text_encoder: nothing "
                "says the text vectors of the classes"
            )
        if self.graph.include_imagenet and files.nodes is None:
            raise ValueError(
                "graph.include_imagenet adds nodes without a class below them, whose text needs "
                "backbone.precomputed.text_encoder or task.ready_features.nodes"
            )
        return self

    @model_validator(mode="after")
    def _kept_model_is_run(self) -> Params:
        method, run = self.report.model, self.methods.run
        if method is not None and method not in run:
            raise ValueError(f"report.model: {method} is not in methods.run ({', '.join(run)})")
        return self

    @model_validator(mode="after")
    def _variants_fit(self) -> Params:
        places = {
            "train.selection.candidates": self.train.selection.candidates,
            "sweep.variants": self.sweep.variants,
        }
        for place, variants in places.items():
            for name, choices in variants.items():
                for number, overrides in enumerate(choices):
                    try:
                        self.methods.changed(name, overrides)
                    except ValueError as error:
                        raise ValueError(f"{place}.{name}[{number}].{error}") from None
        for name in self.sweep.ablate:
            if not self.methods.settings(name).parts:
                raise ValueError(f"sweep.ablate: {name} has no part that can be switched off")
        return self
