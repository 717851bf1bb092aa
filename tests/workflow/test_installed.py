"""Without a clone: the wheel alone, in an empty folder, from images to predictions."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, Project, draw_image, jobs_run

pytestmark = pytest.mark.workflow

NEEDED = ("pyproject.toml", "README.md", "LICENSE", "Snakefile", "workflow", "sreclip")


@dataclass
class Installed(Project):
    """A folder in which sreclip is what was installed elsewhere."""

    place: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment with the installed sreclip first."""
        own = super().environment
        path = f"{self.place / 'bin'}{os.pathsep}{own['PATH']}"
        return own | {"PATH": path, "PYTHONPATH": str(self.place)}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build a wheel of a copy of the repository, install it, and give an empty folder."""
    folder = tmp_path_factory.mktemp("installed")
    source, place = folder / "source", folder / "site"
    source.mkdir()
    for name in NEEDED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder)]
    subprocess.run([*pip, *build, str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(source)
    install = ["install", "--no-deps", "--no-index", "--target", str(place)]
    subprocess.run([*pip, *install, str(wheel)], check=True)
    (folder / "empty").mkdir()
    return Installed(folder / "empty", place)


def test_images_become_a_model_that_predicts(installed: Installed) -> None:
    folder = installed.folder
    where = installed.run(sys.executable, "-c", "import sreclip; print(sreclip.__file__)").stdout
    assert Path(where.strip()).is_relative_to(installed.place)
    early = installed.run("sreclip", "run", check=False)
    assert early.returncode == 2
    assert "params.yaml is not here\n  -> write it with: sreclip init" in early.stderr
    for kind, name in enumerate(("cat", "dog")):
        for number in range(5):
            draw_image(folder / f"photos/{name}/{number}.png", kind, number, lines=False)
            draw_image(folder / f"icons/{name}-{number}.png", kind, 50 + number, lines=True)

    given = ("photos", "icons", "--names", "heron", "--backbone", "mini", "--yes")
    assert installed.run("sreclip", "init", *given).stderr.endswith("\n  sreclip run\n")
    installed.edit(methods__run=["zero_shot", "clip_adapter"], train__seeds=[0])
    installed.edit(methods__clip_adapter={"steps": 5}, report__model="clip_adapter")
    assert not (folder / "results").exists()
    missing = installed.run("sreclip", "save", "zero_shot", "model", check=False)
    assert missing.returncode == 2

    done = installed.run("sreclip", "run", "--cores", "2")
    jobs = jobs_run(done.stdout + done.stderr)
    assert (jobs["extract_images"], jobs["train_method"], jobs["publish_report"]) == (2, 2, 1)
    assert "Page: reports/index.html" in done.stdout
    assert {path.name for path in folder.iterdir() if path.name[0] != "."} == {
        *("photos", "icons", "classes.txt", "params.yaml"),
        *("logs", "reports", "results"),
    }
    again = installed.run("sreclip", "run", "--", "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr
    assert installed.run("sreclip", "run", "no_such_rule", check=False).returncode == 1

    (model,) = folder.glob("results/kept/*/*/*")
    installed.run("sreclip", "predict", str(model), "icons", "--out", "labels.csv")
    with (folder / "labels.csv").open(newline="") as file:
        labels = {row["path"]: row["class"] for row in csv.DictReader(file)}
    with (folder / "reports/predictions.csv").open(newline="") as file:
        of_run = {row["path"]: row for row in csv.DictReader(file)}
    assert labels.keys() == of_run.keys()
    assert set(labels.values()) <= {"cat", "dog", "heron"}
