"""The recipes of docs/architecture.md, followed to the letter in a copy of the package."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.workflow.conftest import CLASSES, ROOT, Project

pytestmark = pytest.mark.workflow

METHOD = '''"""Nearest class mean of the source; unknown classes by their text."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.config.methods import ClassMeanSettings
from sreclip.methods.base import Method
from sreclip.methods.data import FitData


class ClassMean(Method):
    """``s f.m_c``, m the mean source feature of a known class, mixed with the text."""

    title = "Class mean"
    citation = "nobody"
    transductive = False
    deterministic = True
    settings: ClassMeanSettings

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        sums = torch.zeros_like(data.text.features)
        rows = torch.arange(len(data.source_labels))
        sums.index_add_(0, data.source_labels, data.source(rows))
        mixed = self.settings.mix * F.normalize(sums, dim=1)
        self.means_ = F.normalize((1 - self.settings.mix) * data.text.features + mixed, dim=1)

    def _logits(self, features: Tensor) -> Tensor:
        return self.text_.logit_scale * features @ self.means_.T

    def _state(self) -> dict[str, Tensor]:
        return {"means": self.means_}
'''
METHOD_SETTINGS = '''class ClassMeanSettings(Settings):
    """Nearest class mean."""

    mix: Fraction = Field(0.5, description="Weight of the source mean.")


class MethodsSettings(Section):'''
TASK = '''"""Images in two folders, the class in front of the first minus of a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sreclip.data.manifest import ClassEntry
from sreclip.data.place import Place
from sreclip.data.task import Task, TaskData, TaskImage


class FlatTask(Task):
    """Names such as ``cat-3.png``."""

    def prepare(self, settings: Mapping[str, Any], folder: Path) -> TaskData:
        root = Path(settings["root"])
        names = sorted({path.name.split("-")[0] for path in root.glob("target/*.png")})
        images = [
            TaskImage(Place(f"{domain}/{path.name}"), domain, names.index(path.name.split("-")[0]))
            for domain in ("source", "target")
            for path in sorted(root.glob(f"{domain}/*.png"))
        ]
        return TaskData(root, images, [ClassEntry(name, (name,)) for name in names])
'''
TASK_SETTINGS = '''class FlatSettings(Section):
    """Two flat folders."""

    root: str = Field("", description="Data root.")


class TaskSettings(Section):'''
BACKBONE = '''"""Colours of a coarse grid; texts by their letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torchvision.transforms import functional as tf

from sreclip.backbones.base import Checked
from sreclip.backbones.weights import unit_rows, usable_device


class Grid:
    """A frozen model without weights."""

    dim = 48
    logit_scale = 20.0
    weights_sha256 = "0" * 64
    network = "none"
    context_length = 1000
    precision = "float32"
    preprocessing = "resized to 4 x 4"
    image_size = 4

    def __init__(self, label: str, device: torch.device) -> None:
        self.label, self.device = label, device

    def preprocess(self, image: Any) -> torch.Tensor:
        return tf.to_tensor(tf.resize(image, [4, 4]))

    def encode_image(self, pixels: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
        return unit_rows(pixels.flatten(1) + 0.1)

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        counts = [[1 + text.count(chr(97 + i % 26)) for i in range(48)] for text in texts]
        return unit_rows(torch.tensor(counts, dtype=torch.float32))


def check(settings: Mapping[str, Any], label: str) -> Checked:
    return Checked(Grid.network)


def load(settings: Mapping[str, Any], label: str, device: str) -> Grid:
    return Grid(label, usable_device(device))
'''
BACKBONE_SETTINGS = '''class GridSettings(BackboneModel):
    """The grid; nothing to set."""


class BackboneSettings(Section):'''


def insert(path: Path, before: str, new: str) -> None:
    """Put lines into a file before a line that is there once."""
    text = path.read_text()
    assert text.count(before) == 1, (path, before)
    path.write_text(text.replace(before, new))


@pytest.fixture
def extended(project: Project) -> Project:
    """A project with a copy of the package, to which a method, a task and a backbone are added."""
    package = project.folder / "sreclip"
    shutil.copytree(ROOT / "sreclip", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "methods/class_mean.py").write_text(METHOD)
    methods = package / "config/methods.py"
    insert(methods, "class MethodsSettings(Section):", METHOD_SETTINGS)
    first = "    zero_shot: ZeroShotSettings = ZeroShotSettings()\n"
    insert(methods, first, f"    class_mean: ClassMeanSettings = ClassMeanSettings()\n{first}")

    (package / "data/tasks/flat.py").write_text(TASK)
    insert(package / "config/tasks.py", "class TaskSettings(Section):", TASK_SETTINGS)
    first = "    folder: FolderSettings = FolderSettings()\n"
    insert(package / "config/tasks.py", first, f"    flat: FlatSettings = FlatSettings()\n{first}")
    first = '    "folder": '
    line = '    "flat": "sreclip.data.tasks.flat:FlatTask",\n'
    insert(package / "data/tasks/__init__.py", first, line + first)

    (package / "backbones/grid.py").write_text(BACKBONE)
    insert(package / "config/backbones.py", "class BackboneSettings(Section):", BACKBONE_SETTINGS)
    first = "    mini: MiniSettings = MiniSettings()\n"
    insert(
        package / "config/backbones.py", first, f"{first}    grid: GridSettings = GridSettings()\n"
    )
    first = '    "mini": '
    line = '    "grid": "sreclip.backbones.grid:load",\n'
    insert(package / "backbones/__init__.py", first, line + first)
    return project


def test_a_method_a_task_and_a_backbone_by_their_recipes(extended: Project) -> None:
    for domain in ("source", "target"):
        for path in sorted((extended.folder / "data" / domain).rglob("*.png")):
            flat = extended.folder / "flat" / domain
            flat.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, flat / f"{path.parent.name}-{path.name}")
    extended.edit(
        task={"name": "flat", "flat": {"root": "flat"}},
        backbone={"name": "grid"},
        graph={"senses": CLASSES},
        methods={"run": ["zero_shot", "class_mean"], "class_mean": {"mix": 0.75}},
        train={"seeds": [0]},
    )
    assert "backbone grid: none" in extended.run("sreclip", "check").stderr
    printed = extended.snakemake("all")
    assert "make_bundle 2 fits 2 evaluations" in printed
    found = json.loads((extended.folder / "reports/metrics.json").read_text())
    assert list(found["flat"]["grid"]) == ["zero_shot", "class_mean"]
    assert extended.planned_jobs("all") == {}

    # The new method is in the keys, the reference and the help like any other.
    path = extended.folder / "sreclip/methods/class_mean.py"
    path.write_text(path.read_text().replace("mixed, dim=1", "2 * mixed, dim=1"))
    jobs = extended.planned_jobs("all")
    assert (jobs["train_method"], jobs["evaluate_method"]) == (1, 1)
    extended.run("sreclip", "reference", ".")
    assert "methods.class_mean.mix" in (extended.folder / "parameters.md").read_text()
    said = extended.run("sreclip", "train", "class_men", check=False).stderr
    assert "did you mean 'class_mean'?" in said
