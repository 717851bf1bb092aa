"""A run as ``sreclip diff`` compares it: from published reports, a git revision or parameters."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sreclip.config import Params, load_params, parse_params
from sreclip.errors import ConfigError, StoreError
from sreclip.files import read_json
from sreclip.plan.plan import Plan
from sreclip.plan.run import over
from sreclip.provenance.dvc import cached_text
from sreclip.provenance.git import commit_of, git
from sreclip.provenance.keys import code_keys, stage_keys, versions
from sreclip.provenance.records import chosen_params
from sreclip.provenance.stamps import STAMPS, stamps, task_numbers

PARAMS_FILE = "params.yaml"
METRICS_FILE = "metrics.json"
WHAT = (
    "give a reports/ folder, a metrics.json, a git revision such as HEAD~1 (. is the working "
    "folder), or a file of parameters"
)


def _nothing(_: str) -> None:
    return None


@dataclass(frozen=True)
class Run:
    """What is known of a run; empty where nothing is."""

    name: str  # as the user named it
    about: str  # what was read
    params: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)  # of the results
    code: dict[str, Any] = field(default_factory=dict)  # keys
    versions: dict[str, Any] = field(default_factory=dict)  # of packages
    numbers: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    task: str = ""  # task and backbone of the numbers
    commit: str | None = None  # of a git revision, "" for the working folder
    place: str = ""  # where it was read: one run has one, whatever it is called
    titles: dict[str, str] = field(default_factory=dict)  # of the methods
    # Returns a published file by its path below reports/, None where it is not at hand.
    text_of: Callable[[str], str | None] = field(default=_nothing, compare=False, repr=False)


def read_run(name: str) -> Run:
    """Read one side of a comparison: what `WHAT` names, or a project folder.

    Raises `StoreError` if it is none of these, or holds no results.
    """
    path = Path(name)
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        return _of_params(name, path)
    if path.is_file():
        return _of_metrics(name, path)
    if path.is_dir():
        return _of_folder(name, path)
    if commit_of(name) is not None:
        return _of_revision(name)
    raise StoreError(f"{name} is neither a file or folder nor a revision that git knows", WHAT)


def _of_params(name: str, path: Path) -> Run:
    plan = Plan(load_params(path))
    prepared = plan.task["manifest.parquet"].exists()
    unknown = "" if prepared else "; their task is not prepared, so its keys are not known"
    return Run(
        name=name,
        about=f"parameters in {path}{unknown}",
        params=chosen_params(plan.params),
        keys=stage_keys(plan) if prepared else {},
        code=code_keys(plan),
        versions=versions(),
    )


def _of_metrics(name: str, path: Path) -> Run:
    if path.name == METRICS_FILE and stamps(path.parent):
        return _of_folder(name, path.parent)
    task, backbone, numbers = task_numbers(read_json(path), path)
    return Run(
        name=name,
        about=f"numbers in {path}",
        numbers=numbers,
        task=f"{task}, {backbone}",
        place=str(path.resolve()),
    )


def _of_folder(name: str, folder: Path) -> Run:
    project = (folder / "reports" / METRICS_FILE).exists()
    reports = folder / "reports" if project else folder
    if not (reports / METRICS_FILE).exists():
        raise StoreError(f"{folder} holds neither metrics.json nor reports/metrics.json", WHAT)
    found = [path.relative_to(reports).as_posix() for path in stamps(reports)]

    def read(file: str) -> str | None:
        path = folder / file if file == PARAMS_FILE else reports / file
        return path.read_text(encoding="utf-8") if path.exists() else None

    # The folder's parameters may be ahead of its results, whose own are in the stamp.
    tracked = project and commit_of(folder=folder) is not None
    place = str(reports.resolve())
    return _of_reports(name, f"results in {reports}", found, read, "" if tracked else None, place)


def _of_revision(name: str) -> Run:
    commit = commit_of(name)
    listed = git("ls-tree", "-r", "--name-only", "--full-tree", f"{name}:./reports") or ""
    found = [file for file in listed.splitlines() if file.startswith(STAMPS)]
    if METRICS_FILE not in listed.splitlines():
        raise StoreError(
            f"the revision {name} holds no reports/{METRICS_FILE}",
            "choose one in which results were committed: git log -- reports",
        )

    def read(file: str) -> str | None:
        path = file if file == PARAMS_FILE else f"reports/{file}"
        return git("show", f"{name}:./{path}") or cached_text(name, path)

    about = (git("show", "--no-patch", "--format=commit %h of %cs, %s", name) or "").strip()
    return _of_reports(name, about, found, read, commit, f"commit {commit}")


def _of_reports(
    name: str,
    about: str,
    found: list[str],
    read: Callable[[str], str | None],
    commit: str | None,
    place: str,
) -> Run:
    """Put a run together from the texts of its files."""

    def parsed(file: str) -> Any:
        try:
            return json.loads(read(file) or "")
        except ValueError as error:
            raise StoreError(f"{name}: {file} is not valid JSON ({error})") from error

    task, backbone, numbers = task_numbers(parsed(METRICS_FILE), Path(METRICS_FILE))
    stamp = parsed(found[-1]) if found else {}
    text = read(PARAMS_FILE)
    beside = _params(text, f"{name}: {PARAMS_FILE}") if text else {}
    # Stamps did not carry the parameters once; those committed beside them do as well.
    params = stamp.get("params", beside)
    if beside and params != beside:
        about += f"; {PARAMS_FILE} says something else by now"
    return Run(
        name=name,
        about=about if found else f"{about}; without a stamp that says where they come from",
        params=params,
        keys=stamp.get("keys", {}),
        code=stamp.get("code", {}),
        versions=stamp.get("versions", {}),
        numbers=numbers,
        task=f"{task}, {backbone}",
        commit=commit,
        place=place,
        titles={each["name"]: each["title"] for each in stamp.get("methods", [])},
        text_of=read,
    )


def _params(text: str, origin: str) -> dict[str, Any]:
    """Return all parameters; where the models have changed since, the values over the defaults."""
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise StoreError(f"{origin} is not valid YAML: {error}") from error
    try:
        return chosen_params(parse_params(values, origin))
    except ConfigError:
        merged: dict[str, Any] = over(chosen_params(Params()), values)
        return merged
