"""A target without a single label, through the real DVC and Snakemake; then one with some."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.workflow.conftest import CLASSES, Project, publish_with_dvc

pytestmark = pytest.mark.workflow


def take_labels_away(project: Project) -> None:
    """Put all target images right into the target folder."""
    target = project.folder / "data/target"
    for path in sorted(target.glob("*/*.png")):
        path.rename(target / f"{path.parent.name}{path.name}")
    for folder in [path for path in target.iterdir() if path.is_dir()]:
        folder.rmdir()
    (project.folder / "data/classes.txt").write_text("\n".join(CLASSES))
    project.edit(task__folder__classes="classes.txt", methods__run=["zero_shot", "clip_adapter"])


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project whose results ``dvc repro`` made without a label."""
    folder = tmp_path_factory.mktemp("bare") / "project"
    publish_with_dvc(folder, take_labels_away)
    return Project(folder)


def test_everything_is_made_and_nothing_evaluated(bare: Project) -> None:
    assert bare.changed() == {}
    assert bare.planned_jobs("all") == {}
    means = json.loads((bare.folder / "reports/means.json").read_text())
    assert means == {"zero_shot": {}, "clip_adapter": {}}
    assert "No target image has a label" in (bare.folder / "reports/index.html").read_text()
    for command in ("metrics show", "metrics diff", "plots show --json", "params diff"):
        bare.run("dvc", *command.split())
    said = " ".join(bare.run("sreclip", "results").stdout.split())
    assert "no target image has a label" in said
    assert "target/CLASS" in said
    assert bare.run("sreclip", "diff", "HEAD").returncode == 0
    chain = bare.run("sreclip", "provenance", "reports/metrics.json").stdout
    assert "no record" not in chain


def test_images_are_labelled_on_a_local_page_and_the_next_run_reads_them(bare: Project) -> None:
    folder = bare.folder.with_name("labelled")
    shutil.copytree(bare.folder, folder, symlinks=True)
    project = Project(folder)
    with subprocess.Popen(
        ["sreclip", "label", "--no-browser", "--count", "5"],
        cwd=folder,
        env=project.environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        url = next(line.strip() for line in process.stderr if "http://127.0.0.1:" in line)
        page, key = url.split("/?key=")
        for at in range(5):
            label = json.dumps({"image": at, "label": list(CLASSES)[at % 4]}).encode()
            with urllib.request.urlopen(f"{page}/label?key={key}", label) as answer:
                assert "right" in json.load(answer)["summary"]
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait() == 0
    assert "5 new labels in labels/target.csv" in said
    assert "evaluate.labels in params.yaml names the file" in said
    assert project.planned_jobs("all") == {
        "evaluate_method": 2,
        "compare_methods": 1,
        "write_page": 1,
        "publish_report": 1,
    }
    assert project.repro()["evaluate_method"] == 2
    assert project.changed() == {}
    said = " ".join(project.run("sreclip", "results").stdout.split())
    assert "right of 5 labelled images" in said
    assert "Right on the labelled images" in (folder / "reports/index.html").read_text()
    (folder / "labels/target.csv").write_text("path,class\ndata/target/gone.png,cat\n")
    done = project.run("snakemake", "--cores", "2", "all", check=False)
    assert done.returncode != 0
    assert "no target image: data/target/gone.png" in done.stdout + done.stderr


def test_labels_that_come_later_are_evaluated_and_nothing_is_extracted_again(
    bare: Project,
) -> None:
    target = bare.folder / "data/target"
    for name in CLASSES:
        (target / name).mkdir()
        for path in sorted(target.glob(f"{name}*.png"))[:2]:
            shutil.move(path, target / name / path.name)
    jobs = bare.planned_jobs("all")
    assert jobs["prepare_data"] == 1
    bare.snakemake("all")
    means = json.loads((bare.folder / "reports/means.json").read_text())
    assert {"known", "unknown", "h"} <= set(means["zero_shot"])
    said = " ".join(bare.run("sreclip", "results").stdout.split())
    assert "2 labelled target images are of unknown classes" in said


def test_what_labels_would_choose_stops_before_anything_is_extracted(
    bare: Project, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(bare.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("results"))
    project = Project(folder)
    for name in CLASSES:
        shutil.rmtree(folder / "data/target" / name, ignore_errors=True)
    project.edit(train__selection__rule="oracle")
    for _ in range(2):
        done = project.run("snakemake", "--cores", "2", "all", check=False)
        assert done.returncode != 0
        assert "no target image has a label" in done.stderr
        assert not (folder / "results/features").exists()
