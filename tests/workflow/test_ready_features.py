"""Features made elsewhere, through the real DVC and Snakemake; then with replaced files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.workflow.conftest import CLASSES, Project, jobs_run, publish_with_dvc

pytestmark = pytest.mark.workflow

WIDTH = 12


def put_features(project: Project) -> None:
    """Write rows around the directions of the classes, in the formats of several programs."""
    folder = project.folder / "made"
    (folder / "img_emb").mkdir(parents=True)
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(CLASSES)), 20)
    for domain in ("source", "target"):
        noise = 0.3 * generator.normal(size=(len(labels), WIDTH))
        rows = (np.eye(len(CLASSES), WIDTH)[labels] + noise).astype("f4")
        if domain == "source":
            np.save(folder / "source.npy", rows)
        else:
            for number, part in enumerate(np.array_split(rows, 3)):
                np.save(folder / f"img_emb/img_emb_{number}.npy", part)
        np.save(folder / f"{domain}_labels.npy", labels)
    np.save(folder / "text.npy", np.eye(len(CLASSES), WIDTH))
    lines = ["name,wnid", *(f"{name},{wnid}" for name, wnid in CLASSES.items())]
    (folder / "classes.csv").write_text("\n".join(lines) + "\n")
    project.edit(
        task__name="ready_features",
        task__ready_features={
            "root": "made",
            "target": "img_emb",
            "target_labels": "target_labels.npy",
            "text": "text.npy",
        },
        backbone={"name": "precomputed", "precomputed": {"made_by": "ViT made up"}},
        split={"unknown": ["car"]},
        graph__senses={},
        methods__run=["zero_shot", "sre_clip"],
        train__seeds=[0],
    )


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project whose results ``dvc repro`` made of ready features."""
    folder = tmp_path_factory.mktemp("ready") / "project"
    publish_with_dvc(folder, put_features)
    project = Project(folder)
    project.edit(split__unknown=["car"])
    project.snakemake("all")
    return project


def test_everything_is_made_once(ready: Project) -> None:
    assert ready.planned_jobs("all") == {}
    metrics = json.loads((ready.folder / "reports/means.json").read_text())
    assert set(metrics) == {"zero_shot", "sre_clip"}
    assert "names no folder of images" in (ready.folder / "reports/index.html").read_text()
    assert ready.run("sreclip", "verify", "results/features").returncode == 0
    chain = ready.run("sreclip", "provenance", "reports/metrics.json").stdout
    assert "made elsewhere" in chain
    assert ready.plan.feature_dir.name.startswith("ViT_made_up-")


def test_other_texts_extract_no_row_again(ready: Project) -> None:
    path = ready.folder / "made/text.npy"
    text = np.load(path)
    text[0, 5] = 0.5
    np.save(path, text)
    jobs = jobs_run(ready.snakemake("all"))
    assert jobs["prepare_data"] == 1
    assert jobs["extract_images"] == 0
    assert jobs["extract_text"] == 2
    assert jobs["train_method"] == 2
    assert ready.planned_jobs("all") == {}


def test_other_target_labels_fit_nothing_again(ready: Project) -> None:
    path = ready.folder / "made/target_labels.npy"
    labels = np.load(path)
    labels[:3] = -1
    np.save(path, labels)
    jobs = jobs_run(ready.snakemake("all"))
    assert jobs["train_method"] == 0
    assert jobs["evaluate_method"] == 2


def test_another_part_of_a_domain_is_noticed(ready: Project) -> None:
    part = ready.folder / "made/img_emb/img_emb_2.npy"
    rows = np.load(part)
    np.save(part, rows[::-1])
    jobs = jobs_run(ready.snakemake("extract_features"))
    assert jobs["prepare_data"] == 1
    assert 1 <= jobs["extract_images"] <= len(ready.plan.domain_shards("target"))


def test_a_wrong_file_stops_before_anything_runs(ready: Project, tmp_path: Path) -> None:
    labels = ready.folder / "made/source_labels.npy"
    kept = labels.read_bytes()
    np.save(labels, np.load(labels) + 1)
    printed = ready.snakemake("all", check=False)
    assert "the labels seem to start at 1" in printed
    assert "Traceback" not in printed
    labels.write_bytes(kept)
