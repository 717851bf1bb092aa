"""Versions of what is installed, and what is missing."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import sreclip
from sreclip.doctor.finding import Finding, note, ok, problem
from sreclip.provenance.git import git

if TYPE_CHECKING:
    from packaging.requirements import Requirement

# Shown with their versions; of the others only what is wrong.
SHOWN = ("torch", "open_clip_torch", "snakemake", "dvc", "h5py", "numpy")
# What is not needed for a run on this machine, and what for.
SPARED = {
    "dvc": "versions, experiments and remotes (dvc repro)",
    "snakemake-executor-plugin-slurm": "jobs on Slurm",
}


def versions() -> Iterator[Finding]:
    """Name the versions of Python, sreclip and the main packages."""
    found = {name: version(name) for name in SHOWN}
    shown = [f"{name} {each}" for name, each in found.items() if each is not None]
    yield ok("versions", f"Python {platform.python_version()}, sreclip {sreclip.__version__}")
    if shown:
        yield ok("packages", ", ".join(shown))


def packages() -> Iterator[Finding]:
    """Hold what is installed against what sreclip asks for."""
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires("sreclip") or []
    except importlib.metadata.PackageNotFoundError:
        yield note(
            "packages",
            "sreclip runs from a folder and is not installed, so that nothing says what it needs",
            "pip install -e .",
        )
        return
    for needed in map(Requirement, lines):
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            yield from _against(needed)


def _against(needed: Requirement) -> Iterator[Finding]:
    found = version(needed.name)
    install = f'pip install "{needed.name}{needed.specifier}"'
    if found is None and needed.name in SPARED:
        yield note(needed.name, f"not installed; needed for {SPARED[needed.name]}", install)
    elif found is None:
        yield problem(needed.name, "not installed", install)
    elif not needed.specifier.contains(found, prereleases=True):
        yield note(
            needed.name, f"{found} is installed; sreclip was made for {needed.specifier}", install
        )


def version(package: str) -> str | None:
    """Return the version of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def programs() -> Iterator[Finding]:
    """Look for git, the folders of git and DVC, and Slurm."""
    if shutil.which("git") is None:
        yield note("git", "not on the path: results will not name a commit", "install git")
    elif git("rev-parse", "--git-dir") is not None:
        yield ok("git", "this folder is in a repository")
    elif Path("params.yaml").is_file():
        yield note(
            "git", "this folder is in no repository: results will not name a commit", "git init"
        )
    else:
        yield ok("git", "here; this folder is no project")
    if Path(".dvc").is_dir():
        yield ok("DVC", "set up here: dvc repro runs and versions the pipeline")
    elif Path("dvc.yaml").is_file():
        yield note("DVC", "dvc.yaml is here, but DVC is not set up: dvc repro fails", "dvc init")
    else:
        yield ok("DVC", "not set up here; runs do without it")
    if shutil.which("sbatch") is not None:
        yield ok("Slurm", "here: sreclip run -- --workflow-profile slurm")
    else:
        yield ok("Slurm", "not here: jobs run on this machine")
