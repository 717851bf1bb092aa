"""A project folder of its own for each test module: the real workflow on tiny real images."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from filelock import FileLock
from PIL import Image, ImageDraw

from sreclip.config import load_params
from sreclip.plan.plan import Plan

ROOT = Path(__file__).parents[2]
CLASSES = {"cat": "n02121620", "dog": "n02084071", "horse": "n02374451", "car": "n02958343"}
WORKFLOW_FILES = ("Snakefile", "workflow", "profiles", "dvc.yaml")


@dataclass
class Project:
    """A folder with the workflow, parameters and images."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment with the programs of these tests first, and the folder's own sreclip."""
        own = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        if (self.folder / "sreclip").exists():
            paths = (str(self.folder), os.environ.get("PYTHONPATH"))
            own["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        return os.environ | own

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        if check and done.returncode:
            raise AssertionError(f"{command} failed:\n{done.stdout}\n{done.stderr}")
        return done

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        """Run snakemake and give everything it printed."""
        done = self.run("snakemake", "--cores", "2", *arguments, check=check)
        return done.stdout + done.stderr

    @property
    def plan(self) -> Plan:
        """Where the results of the present parameters are."""
        return Plan(load_params(self.folder / "params.yaml"), self.folder)

    def planned_jobs(self, *arguments: str) -> Counter[str]:
        """Which jobs a run would do, by rule; target rules left out."""
        return job_counts(self.snakemake("--dry-run", *arguments))

    def edit(self, **changes: object) -> None:
        """Change parameters, named ``section__key``."""
        path = self.folder / "params.yaml"
        values = yaml.safe_load(path.read_text())
        for name, value in changes.items():
            *parents, last = name.split("__")
            section = values
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = value
        path.write_text(yaml.safe_dump(values, sort_keys=False))

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def repro(self, *arguments: str) -> Counter[str]:
        """Run ``dvc repro`` and give the jobs that it ran."""
        done = self.run("dvc", "repro", *arguments)
        return jobs_run(done.stdout + done.stderr)

    def changed(self) -> dict[str, object]:
        """What ``dvc status`` lists: nothing when all is up to date."""
        status: dict[str, object] = json.loads(self.run("dvc", "status", "--json").stdout)
        return status

    def go_back(self) -> None:
        """Bring the committed parameters, code and results back, and see that all are there."""
        self.run("git", "checkout", "--quiet", "--force", ".")
        self.run("git", "clean", "--quiet", "--force", "reports")
        self.run("dvc", "checkout", "--force")
        assert self.changed() == {}

    def cloned(self, place: Path) -> Project:
        """Push the results to a new remote, clone the repository and pull them, all in ``place``.

        The clone has no record of Snakemake's, and other file times.
        """
        self.run("dvc", "remote", "add", "--default", "shelf", str(place / "shelf"))
        self.commit("A remote")
        self.run("dvc", "push")
        self.run("git", "clone", "--quiet", str(self.folder), str(place / "clone"))
        clone = Project(place / "clone")
        assert not (clone.folder / "results").exists()
        clone.run("dvc", "pull")
        return clone


def jobs_run(printed: str) -> Counter[str]:
    """Count the jobs that snakemake calls have printed a line of, by rule; see `in_bundles`."""
    jobs = Counter(re.findall(r"^ *\d+/\d+  (\w+) ", printed, re.MULTILINE))
    return in_bundles(jobs, re.findall(r"^ *\d+/\d+  make_bundle (.*)  ", printed, re.MULTILINE))


TARGETS = {"all", "graph", "extract_features", "train", "evaluate", "sweep"}


def job_counts(printed: str) -> Counter[str]:
    """Read the job table that a dry run prints; see `in_bundles`."""
    table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", printed, re.DOTALL)
    if table is None:
        assert "Nothing to be done" in printed, printed
        return Counter()
    rows = (line.split() for line in table[1].splitlines())
    jobs = Counter({rule: int(count) for rule, count in rows if rule not in TARGETS})
    return in_bundles(jobs, re.findall(r"^make_bundle (\d.*)$", printed, re.MULTILINE))


def in_bundles(jobs: Counter[str], bundles: list[str]) -> Counter[str]:
    """Count what is in bundles as if each fit and each evaluation were a job of its own."""
    assert jobs.pop("make_bundle", 0) == len(bundles)
    for content in bundles:
        for number, what in re.findall(r"(\d+) (fit|evaluation)", content):
            jobs[{"fit": "train_method", "evaluation": "evaluate_method"}[what]] += int(number)
    return jobs


def draw_image(path: Path, kind: int, seed: int, *, lines: bool) -> None:
    """Draw a shape a class; the source is filled, the target outlined."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (96, 96), "white")
    pen = ImageDraw.Draw(image)
    x, y = rng.integers(8, 24, 2)
    box = (int(x), int(y), int(x) + 56, int(y) + 56)
    color = tuple(int(c) for c in rng.integers(0, 200, 3))
    style = {"outline": "black", "width": 3} if lines else {"fill": color}
    draw: Callable[..., None] = (pen.ellipse, pen.rectangle, pen.rounded_rectangle, pen.chord)[kind]
    extra = {2: {"radius": 20}, 3: {"start": 0, "end": 200}}.get(kind, {})
    draw(box, **extra, **style)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def make_project(folder: Path) -> Project:
    """Write the workflow with a ``folder`` task of 4 classes, one of them unknown; run nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in WORKFLOW_FILES:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    for name in ("weights", "prompts", "labels"):
        (folder / name).mkdir()
        shutil.copy(ROOT / name / "README.md", folder / name)
    for kind, name in enumerate(CLASSES):
        for number in range(6):
            seed = 100 * kind + number
            if name != "car":
                draw_image(folder / f"data/source/{name}/{number}.png", kind, seed, lines=False)
            draw_image(folder / f"data/target/{name}/{number}.png", kind, seed + 50, lines=True)
    params = {
        "task": {"name": "folder", "folder": {"root": "data"}, "shard_size": 8},
        "features": {"workers": 0, "batch_size": 16},
        "graph": {"senses": CLASSES},
        "methods": {
            "run": ["zero_shot", "clip_adapter", "sre_clip"],
            "clip_adapter": {"steps": 5},
            "sre_clip": {"steps": 3, "rounds": 1, "width": 8, "gcn_width": 8},
        },
        "train": {"seeds": [0, 1]},
        "report": {"images": 6},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return Project(folder)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give the workflow with its images, and nothing run."""
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Give a function that makes a folder once for all modules and all workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(name: str, write: Callable[[Path], None]) -> Path:
        folder = base / name
        with FileLock(base / f"{name}.lock"):
            if not (folder / "made").exists():
                write(folder / "project")
                (folder / "made").touch()
        return folder / "project"

    return make


def run_everything(folder: Path) -> None:
    """Write a project and run everything."""
    printed = make_project(folder).snakemake("all")
    assert "reports/index.html" in printed


@pytest.fixture(scope="module")
def done(
    once: Callable[[str, Callable[[Path], None]], Path], tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """Give a copy of a project in which everything was run by snakemake."""
    folder = tmp_path_factory.mktemp("done") / "project"
    shutil.copytree(once("finished", run_everything), folder, symlinks=True)
    return Project(folder)


@pytest.fixture(scope="session")
def published(
    once: Callable[[str, Callable[[Path], None]], Path],
) -> tuple[Project, Counter[str]]:
    """Give a project in git whose results ``dvc repro`` made, and the jobs that it ran.

    It is for all modules: they copy it, see `made`.
    """
    folder = once("published", publish_with_dvc)
    return Project(folder), Counter(json.loads(folder.with_name("jobs.json").read_text()))


def publish_with_dvc(folder: Path, change: Callable[[Project], None] = lambda _: None) -> None:
    """Write a project, changed, in git and make its results by ``dvc repro``."""
    project = make_project(folder)
    change(project)
    for name in (".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(
        ROOT / "sreclip", folder / "sreclip", ignore=shutil.ignore_patterns("__pycache__")
    )
    # DVC wants every parameter that dvc.yaml names to stand in the file, defaults or not.
    own = yaml.safe_load((folder / "params.yaml").read_text())
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, entries in own.items():
        for name, value in entries.items():
            old = values[section].get(name)
            merge = isinstance(old, dict) and isinstance(value, dict)
            values[section][name] = old | value if merge else value
    values["split"]["unknown"] = "auto"
    values["task"]["shard_size"] = 64
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    project.run("git", "init", "--quiet")
    project.run("git", "config", "user.name", "Test")
    project.run("git", "config", "user.email", "test@example.org")
    project.run("dvc", "init", "--quiet")
    project.run("dvc", "config", "core.analytics", "false")
    project.commit("Images and workflow")
    jobs = project.repro()
    project.commit("First results")
    folder.with_name("jobs.json").write_text(json.dumps(jobs))


@pytest.fixture(scope="module")
def made(
    published: tuple[Project, Counter[str]], tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """Give a copy of the published project, with its cache and its git history."""
    folder = tmp_path_factory.mktemp("made") / "project"
    shutil.copytree(published[0].folder, folder, symlinks=True)
    return Project(folder)


@pytest.fixture
def restored(prepared: Project) -> Iterator[Project]:
    """Give the module's prepared project and put its parameters back afterwards."""
    path = prepared.folder / "params.yaml"
    text = path.read_text()
    yield prepared
    path.write_text(text)
