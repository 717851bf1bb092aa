"""docs/extend.md, followed to the letter in a copy of the package."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.conftest import CLASSES, ROOT, Project

pytestmark = pytest.mark.workflow

BLOCK = re.compile(r'^```(python|diff) title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def follow(page: str, folder: Path) -> list[str]:
    """Do what the blocks of a page say, and name the files that are new.

    A block of Python is a file. In a block that is a difference, lines without a plus are in the
    file already, once and beside each other.
    """
    new = []
    for kind, name, block in BLOCK.findall(page):
        path = folder / name
        if kind == "python":
            assert not path.exists(), path
            path.write_text(block)
            new.append(name)
            continue
        lines = block.splitlines(keepends=True)
        text, old = path.read_text(), "".join(line[1:] for line in lines if line[0] == " ")
        assert text.count(old) == 1, (name, old)
        path.write_text(text.replace(old, "".join(line[1:] for line in lines)))
    return new


def classes_of(predictions: pd.DataFrame) -> dict[str, str]:
    """The class of each image by the name of its file."""
    return {Path(row.path).name: row[2] for row in predictions[["path", "class"]].itertuples()}


@pytest.fixture
def extended(project: Project) -> Project:
    """A project with a copy of the package, to which a method, a task and a backbone are added."""
    shutil.copytree(
        ROOT / "sreclip", project.folder / "sreclip", ignore=shutil.ignore_patterns("__pycache__")
    )
    assert follow((ROOT / "docs/extend.md").read_text(), project.folder) == [
        "sreclip/methods/class_mean.py",
        "sreclip/data/tasks/flat.py",
        "sreclip/backbones/grid.py",
    ]
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

    # A saved model predicts what the run did.
    extended.run("sreclip", "save", "class_mean", "model")
    extended.run("sreclip", "predict", "model", "flat/target", "--out", "labels.csv")
    predicted = pd.read_csv(extended.folder / "labels.csv")
    fitted = pd.read_csv(extended.folder / "reports/predictions.csv")
    fitted = fitted[fitted["method"] == "class_mean"]
    assert len(predicted) == len(fitted) > 0
    assert classes_of(predicted) == classes_of(fitted)

    # The new method is in the keys, the reference and the help like any other.
    path = extended.folder / "sreclip/methods/class_mean.py"
    path.write_text(path.read_text().replace("mixed, dim=1", "2 * mixed, dim=1"))
    jobs = extended.planned_jobs("all")
    assert (jobs["train_method"], jobs["evaluate_method"]) == (1, 1)
    extended.run("sreclip", "reference", ".")
    assert "methods.class_mean.mix" in (extended.folder / "parameters.md").read_text()
    said = extended.run("sreclip", "train", "class_men", check=False).stderr
    assert "did you mean 'class_mean'?" in said
