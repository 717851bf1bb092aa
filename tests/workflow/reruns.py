"""The rerun matrix: edits of parameters and code, and the jobs that each must run, no others.

``python -m tests.workflow.reruns`` writes ``docs/reruns.md`` from it; `test_reruns` checks it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.workflow.conftest import ROOT, Project

PAGE = ROOT / "docs" / "reruns.md"

PUBLISH = {"write_page": 1, "publish_report": 1}
COMPARE = {"compare_methods": 1, **PUBLISH}
EVALUATE = {"evaluate_method": 3, **COMPARE}
FIT = {"train_method": 3, **EVALUATE}
ONE_FIT = {"train_method": 1, "evaluate_method": 1, **COMPARE}
TWO_FITS = {"train_method": 2, "evaluate_method": 2, **COMPARE}
ONE_TEXT = {"extract_text": 1, **FIT}
TEXT = {"extract_text": 2, **FIT}
FEATURES = {"extract_images": 2, **TEXT}
NOTHING: Mapping[str, int] = {}

# Column of the page: which jobs it counts, and the DVC stage that runs them.
COLUMNS = {
    "prepare_data": "data",
    "build_graph": "graph",
    "extract_images": "features",
    "extract_text": "features",
    "train_method": "train",
    "evaluate_method": "evaluate",
    "compare_methods": "evaluate",
    "write_page": "report",
    "publish_report": "report",
    "keep_model": "report",
}


@dataclass(frozen=True)
class Edit:
    """One edit of a project whose results are there.

    Attributes
    ----------
    what : str
        What is edited, for a reader.
    jobs : Mapping
        How many jobs of each rule must run.
    params : Mapping
        Parameters, as `Project.edit` takes them.
    code : str
        A file of the package.
    add : str
        Text to add at its end.
    replace : tuple of str
        Text to put the second for the first of.
    """

    what: str
    jobs: Mapping[str, int]
    params: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    add: str = ""
    replace: tuple[str, str] | None = None

    def __str__(self) -> str:
        return self.what


def param(name: str, value: Any, jobs: Mapping[str, int], what: str = "") -> Edit:
    """Edit one parameter."""
    return Edit(f"`{name}`{what and f': {what}'}", jobs, params={name.replace(".", "__"): value})


def statement(code: str, jobs: Mapping[str, int], what: str = "") -> Edit:
    """Add a statement to a module."""
    return Edit(f"`{code}`{what and f': {what}'}", jobs, code=code, add="EDITED = True\n")


TASK = (
    param("task.duplicates", "keep", {"prepare_data": 1}, "another rule, the same images"),
    param(
        "task.shard_size",
        8,
        {"prepare_data": 1, "extract_images": 7, **FIT},
        "other shards",
    ),
    Edit(
        "`PREPARE_VERSION`",
        {"prepare_data": 1},
        code="data/__init__.py",
        replace=("PREPARE_VERSION = ", "PREPARE_VERSION = 1"),
    ),
)
PARAMS = (
    param("split.unknown", ["car", "dog"], FIT),
    param("split.seed", 1, NOTHING, "no random split"),
    param("backbone.name", "open_clip", FEATURES),
    param("backbone.open_clip.model", "ViT-L-14", NOTHING, "not the backbone that runs"),
    param("prompts.templates", ["a {}."], TEXT),
    param("prompts.synonyms", {"dog": ["puppy"]}, ONE_TEXT, "of a class"),
    param("prompts.background", ["something else"], {"extract_text": 1, **PUBLISH}),
    param("features.dtype", "float32", FEATURES),
    param("features.reduced_jpeg", True, FEATURES),
    param("features.max_rejects", 0.5, NOTHING, "looked at by the next fit"),
    param("features.workers", 1, NOTHING),
    param("graph.similarity", "lin", {"build_graph": 1, **ONE_TEXT}),
    param("graph.text_weight", 0.5, FIT),
    param("methods.sre_clip.trust", 0.02, ONE_FIT, "one method's setting"),
    param("methods.linear_probe.holdout", 0.3, NOTHING, "a method that does not run"),
    param("methods.run", ["zero_shot", "sre_clip"], COMPARE, "one less"),
    param("methods.run", ["sre_clip", "clip_adapter", "zero_shot"], COMPARE, "another order"),
    param("methods.run", ["zero_shot", "clip_adapter", "sre_clip", "taskres"], ONE_FIT, "one more"),
    param("train.seeds", [0, 1, 2], FIT),
    param("train.selection.rule", "pseudo_unknown", EVALUATE, "without candidates"),
    param(
        "train.selection",
        {"rule": "pseudo_unknown", "candidates": {"clip_adapter": [{}, {"lr": 0.1}]}},
        {"train_method": 1, **EVALUATE},
        "candidates of one method",
    ),
    param("train.checkpoints", 2, FIT),
    param("evaluate.protocol", "reference", EVALUATE),
    param("evaluate.ece_bins", 7, EVALUATE),
    param("evaluate.bootstrap", 50, COMPARE),
    param("report.colors.known", "#000000", PUBLISH),
    param("report.model", "clip_adapter", {"keep_model": 1}, "the method whose fit is kept"),
    param("sweep.draws", 2, NOTHING, "`snakemake sweep` would run its own"),
)
CODE = (
    Edit("any module: a comment or a docstring", NOTHING, code="methods/base.py", add="# edited\n"),
    statement("data/manifest.py", NOTHING),
    statement("backbones/mini.py", NOTHING),
    Edit(
        "`backbones/mini_map.safetensors`: other weights",
        FEATURES,
        code="backbones/mini_map.safetensors",
        add="\0",
    ),
    statement("features/extract.py", NOTHING),
    Edit(
        "`EXTRACTION_VERSION`",
        FEATURES,
        code="features/__init__.py",
        replace=("EXTRACTION_VERSION = ", "EXTRACTION_VERSION = 1"),
    ),
    statement("graph/senses.py", {"build_graph": 1, **ONE_TEXT}),
    statement("graph/draw.py", PUBLISH),
    Edit(
        "`config/sre_clip.py`: another default of one method",
        ONE_FIT,
        code="config/sre_clip.py",
        replace=("class_scale: NonNegative = Field(0.5", "class_scale: NonNegative = Field(0.25"),
    ),
    statement("methods/sre_clip.py", ONE_FIT),
    statement("methods/base.py", FIT),
    statement("methods/tip_adapter.py", NOTHING, "a method that does not run"),
    statement("methods/losses.py", TWO_FITS, "what zero-shot does without"),
    statement("methods/scores.py", FIT),
    statement("refinement/zlap.py", FIT),
    statement("train/fits.py", FIT),
    statement("evaluate/accuracy.py", FIT, "by which settings are chosen"),
    statement("evaluate/metrics.py", EVALUATE),
    statement("evaluate/statistics.py", EVALUATE),
    statement("evaluate/comparison.py", COMPARE),
    statement("report/page.py", PUBLISH),
    statement("model/save.py", NOTHING, "without `report.model`"),
    statement("provenance/trace.py", NOTHING),
    statement("cli/steps.py", NOTHING),
)


@contextmanager
def applied(project: Project, edit: Edit) -> Iterator[None]:
    """Make an edit, and take it back afterwards."""
    path = project.folder / ("params.yaml" if edit.params else f"sreclip/{edit.code}")
    before = path.read_bytes()
    try:
        if edit.params:
            project.edit(**edit.params)
        elif edit.replace:
            old, new = edit.replace
            assert old in before.decode()
            path.write_text(before.decode().replace(old, new, 1))
        else:
            path.write_bytes(before + edit.add.encode())
        yield
    finally:
        path.write_bytes(before)


def page() -> str:
    """The matrix as Markdown."""
    rules = list(COLUMNS)
    head = [
        "# What an edit runs again",
        "",
        "Jobs that run after one edit of a finished run, through `snakemake all` and through",
        "`dvc repro` alike: of a task with three methods (`zero_shot`, `clip_adapter`,",
        "`sre_clip`) and a shard of images in each domain. An empty cell is no job. Fits",
        "(`train`) and evaluations are counted one by one, though a job may make several. This",
        "page is written by `python -m tests.workflow.reruns` from the table that",
        "`tests/workflow/test_reruns.py` checks, in the folder of the run and in a fresh clone",
        "with pulled results.",
    ]
    parts = {
        "The task": TASK,
        "Parameters": PARAMS,
        "Code: a statement added, unless it says otherwise": CODE,
    }
    lines = head
    for title, edits in parts.items():
        lines += ["", f"## {title}", ""]
        lines.append("| edit | " + " | ".join(rule.replace("_", " ") for rule in rules) + " |")
        lines.append("| --- |" + " --- |" * len(rules))
        for edit in edits:
            counts = " | ".join(str(edit.jobs.get(rule, "")) for rule in rules)
            lines.append(f"| {edit.what} | {counts} |")
    lines += [
        "",
        "Features are expensive: their keys hold version numbers, which a developer raises when",
        "numbers change, and not a key of the code. An image that is added to a `folder` task or",
        "removed makes the manifest, its shard and all fits again.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(Path(PAGE).relative_to(ROOT))
