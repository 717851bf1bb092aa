"""A ready configuration of a benchmark, through the whole pipeline on a small tree."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from sreclip.data.benchmarks.classes import read_benchmark_classes
from tests.workflow.conftest import ROOT, Project, draw_image

# No CLIP weights, and few steps.
SMALL = (
    "backbone={name: mini}",
    "features={workers: 0}",
    "methods={run: [zero_shot, sre_clip], sre_clip: {steps: 2, rounds: 0}}",
    "train={seeds: [0]}",
)


@pytest.fixture(scope="module")
def i2awa(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The workflow, the ready configurations, and an image of each class of I2AwA."""
    folder = tmp_path_factory.mktemp("i2awa")
    for name in ("Snakefile", "workflow", "profiles", "config", "params.yaml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    root = folder / "data/i2awa"
    for label, item in enumerate(read_benchmark_classes("i2awa")):
        if item.known:
            source = root / f"3D2/{item.folder}-{item.entry.wnid}/1.png"
            draw_image(source, label % 4, label, lines=False)
        target = root / f"AwA2/JPEGImages/{item.folder}/{item.folder}_10001.png"
        draw_image(target, label % 4, 50 + label, lines=True)
    return Project(folder)


@pytest.fixture(scope="module")
def finished(i2awa: Project) -> Project:
    """Give the same, run from the ready configuration to the page."""
    i2awa.snakemake("--configfile", "config/i2awa.yaml", "--config", *SMALL, "--", "all")
    return i2awa


def test_i2awa_from_its_configuration_to_the_page(finished: Project) -> None:
    metrics = json.loads((finished.folder / "reports/metrics.json").read_text())
    assert set(metrics["i2awa"]["mini"]) == {"zero_shot", "sre_clip"}
    (graph,) = (finished.folder / "results/graph").glob("i2awa-*/graph.json")
    assert len(json.loads(graph.read_text())["wnids"]) == 255
    (summary,) = (finished.folder / "results/data").glob("i2awa-*/summary.json")
    counts = json.loads(summary.read_text())
    assert counts["images"] == {"source": 40, "target": 50}
    assert "not as published" in " ".join(counts["notes"])
    assert sum(1 for count in counts["source_images"].values() if not count) == 10


def test_the_authors_settings_are_planned_for_the_same_images(finished: Project) -> None:
    jobs = finished.planned_jobs("--configfile", "config/i2awa-reference.yaml", "--", "all")
    assert jobs["extract_images"] == 2, "another backbone, the same manifest"
    assert "prepare_data" not in jobs


def test_half_of_the_classes_stop_the_run_with_their_names(i2awa: Project, tmp_path: Path) -> None:
    away, source = tmp_path / "away", i2awa.folder / "data/i2awa/3D2"
    times = source.stat()
    shutil.move(source / "beaver-n02363005", away)
    printed = i2awa.snakemake(
        "--configfile", "config/i2awa.yaml", "--config", *SMALL, "--", "all", check=False
    )
    shutil.move(away, source / "beaver-n02363005")
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "1 of 40 classes have no image: beaver (beaver-n02363005)" in printed
    assert "sreclip data check i2awa" in printed


def test_without_the_images_a_configuration_says_what_is_missing(i2awa: Project) -> None:
    printed = i2awa.snakemake("-n", "--configfile", "config/i2webv.yaml", check=False)
    assert "data/i2webv: the data root is missing or not a folder" in printed
    assert "set task.i2webv.root" in printed
