"""Names that mean something to Snakemake, DVC, a shell or HTML, wherever a user names things."""

from __future__ import annotations

import html
import shutil
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import CLASSES, Project, make_project

pytestmark = pytest.mark.workflow

NAMES = {
    "braces": "a{b}{{c}}<x>{",
    "everything else": r"""-f '"$HOME `id` $(id) %s # * ? [x] \n & ; | ~ é 猫 !""",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_the_pipeline_runs(tmp_path: Path, name: str) -> None:
    """Class folder, data root and project folder have this name, and so has a class."""
    project = make_project(tmp_path / name)
    data = project.folder / "data"
    for domain in ("source", "target"):
        (data / domain / "cat").rename(data / domain / name)
    data.rename(project.folder / name)
    senses = {name: CLASSES["cat"]} | {other: CLASSES[other] for other in ("dog", "horse", "car")}
    project.edit(
        task__folder__root=name,
        task__shard_size=64,
        graph__senses=senses,
        methods__run=["zero_shot"],
        train__seeds=[0],
    )
    printed = project.snakemake("all")
    assert "Traceback" not in printed
    assert "reports/index.html" in printed
    assert project.planned_jobs("all") == {}
    assert f"root: {name}" in project.run("sreclip", "provenance", "reports").stdout
    page = (project.folder / "reports/index.html").read_text()
    assert html.escape(name).replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in page
    assert "<x>" not in page


def test_dvc_repro_runs(made: Project, tmp_path: Path) -> None:
    """All names in one, but the cache is elsewhere: DVC itself fails over braces in its path."""
    project = Project(tmp_path / " ".join(NAMES.values()))
    shutil.copytree(made.folder, project.folder, symlinks=True)
    project.edit(report__title="Another")
    refused = project.run("dvc", "repro", check=False)
    assert refused.returncode != 0
    assert "DVC cannot use a cache with braces in its path" in refused.stderr
    assert "write_page" not in refused.stderr

    shutil.move(project.folder / ".dvc/cache", tmp_path / "cache")
    project.run("dvc", "cache", "dir", str(tmp_path / "cache"))
    assert project.repro() == {"write_page": 1, "publish_report": 1}
    assert project.changed() == {}


def test_a_checkpoint_of_any_name(tmp_path: Path) -> None:
    """Its name is part of the results' paths, which Snakemake takes for patterns."""
    project = make_project(tmp_path / "project")
    model = {"pretrained": "w{eights}/foo{bar}<x> (1).pt"}
    checkpoint = project.folder / model["pretrained"]
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"weights")
    project.edit(backbone={"name": "open_clip", "open_clip": model}, methods__run=["zero_shot"])
    project.snakemake("prepare_data")
    assert project.planned_jobs("all")["train_method"] == 1
    assert project.plan.params.backbone.label == "ViT-B-16-foo_bar__x___1_"
    values = yaml.safe_load((project.folder / "params.yaml").read_text())
    assert values["backbone"]["open_clip"] == model
