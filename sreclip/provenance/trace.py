"""The chain from a result back to the images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from sreclip.config import load_params
from sreclip.errors import SreclipError, StoreError
from sreclip.plan.plan import Plan
from sreclip.plan.run import snapshots
from sreclip.plan.sweep import all_results
from sreclip.provenance.records import Link, Record, Records
from sreclip.provenance.stamps import STAMPS, published_hashes, read_stamp, stamps

FOLDERS = ("results", "reports")
HEADER = ("weights_sha256", "preprocessing", "precision")


@dataclass(frozen=True)
class Step:
    """A link of the chain, and its record if there is one.

    ``header`` is what a feature file says of itself (`HEADER`).
    """

    link: Link
    record: Record | None
    header: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Chain:
    """How a result was made."""

    result: str  # relative to its project
    steps: list[Step]  # the result first, the task last
    warnings: list[str]  # of files that are not as the chain says

    def to_json(self) -> dict[str, Any]:
        """Return the chain as JSON-able values."""
        return {
            "result": self.result,
            "warnings": self.warnings,
            "chain": [
                asdict(step.link)
                | {
                    "about": {**step.link.about, **step.header},
                    "time": step.record.time if step.record else None,
                    "circumstances": step.record.circumstances if step.record else None,
                }
                for step in self.steps
            ],
        }


def trace(result: Path, params: Path) -> Chain:
    """Follow a file or folder of ``results/`` or ``reports/`` back to the images.

    Links come from the records that jobs leave; where a result has none, from the parameters that
    lead to it: the given ones, or those of an earlier run in ``results/params``.

    Raises `StoreError` if there is no such result, or nothing says how it was made.
    """
    project, name = _split(result)
    if not result.exists():
        raise StoreError(f"{result} does not exist", "make it with: snakemake --cores all all")
    sources = _Sources(project, params)
    warnings: list[str] = []
    if name.split("/")[0] == "reports":
        stamp, warnings = _stamp_of(project, name)
        name = f"reports/{STAMPS}/{stamp.name}"
    starts = sources.at_or_below(name)
    if not starts:
        raise StoreError(
            f"nothing says how {result} was made: it has no record, and neither {params} nor the "
            f"parameters in {project / 'results/params'} lead to it",
            "give the parameters that it was made with: --params FILE",
        )
    steps = []
    for step in _walk(starts, sources):
        path = project / step.link.path
        try:
            steps.append(replace(step, header=_header(path)))
        except StoreError as error:
            steps.append(step)
            warnings.append(error.message)
    return Chain(name, steps, warnings)


def _header(path: Path) -> dict[str, str]:
    if not path.exists():
        raise StoreError(f"{path} is missing")
    if path.suffix != ".h5":
        return {}
    from sreclip.sealed import open_sealed

    with open_sealed(path).hdf5() as file:
        return {name: file.attrs[name] for name in HEADER}


def _split(result: Path) -> tuple[Path, str]:
    """Return the project folder, and the result's path below it."""
    full = Path(os.path.normpath(result.absolute()))
    for folder in (full, *full.parents):
        if folder.name in FOLDERS:
            project = Path(os.path.relpath(folder.parent))
            return project, full.relative_to(folder.parent).as_posix()
    raise StoreError(
        f"{result} is no result of sreclip", "give a file or folder below results/ or reports/"
    )


def _stamp_of(project: Path, name: str) -> tuple[Path, list[str]]:
    """Return the stamp of ``reports/``, and what differs from it."""
    reports = project / "reports"
    found = stamps(reports)
    if not found:
        raise StoreError(
            f"{reports} has no stamp (made-from/KEY.json) that says what it holds",
            "publish again with: snakemake --cores all all",
        )
    hashes = published_hashes(reports)
    stamped = read_stamp(found[-1]).get("files", {})
    wrong = [
        f"reports/{file} {'is missing' if sha256 is None else 'was changed after publication'}"
        for file, sha256 in hashes.items()
        if stamped.get(file) != sha256 and name in ("reports", f"reports/{file}", "reports/tables")
    ]
    return found[-1], wrong


class _Sources:
    """Where links come from: records first, then plans."""

    def __init__(self, project: Path, params: Path) -> None:
        self._project = project
        self._records = Records(project)
        self._params = iter([params, project / "params.yaml", *snapshots(project / "results")])
        self._planned: dict[str, Link] = {}

    def step(self, path: str) -> Step | None:
        record = self._records.get(path)
        if record is not None:
            return Step(record.link, record)
        link = self._stamp_link(path) or self._search(lambda: self._planned.get(path))
        return Step(link, None) if link else None

    def _stamp_link(self, path: str) -> Link | None:
        """Return what a stamp says of itself, as the parameters may not lead to it any more."""
        try:
            return Link.from_json(read_stamp(self._project / path)["link"])
        except (KeyError, TypeError):
            return None

    def at_or_below(self, name: str) -> list[str]:
        """Return the result that holds ``name``, or those in it that nothing there needs."""
        places = [name, *(parent.as_posix() for parent in PurePosixPath(name).parents)]
        for path in places:
            if self._records.get(path) is not None or self._stamp_link(path):
                return [path]
        link = self._search(
            lambda: next((self._planned[path] for path in places if path in self._planned), None)
        )
        if link is not None:
            return [link.path]
        below = {record.link.path: record.link for record in self._records.below(name)}
        below |= {p: link for p, link in self._planned.items() if p.startswith(f"{name}/")}
        below = {p: link for p, link in below.items() if (self._project / p).exists()}
        needed = {path for link in below.values() for path in link.inputs}
        return [path for path in below if path not in needed]

    def _search(self, look: Callable[[], Link | None]) -> Link | None:
        """Look among the links, and read parameters until it is found or none are left."""
        found = look()
        while found is None:
            path = next(self._params, None)
            if path is None:
                return None
            self._planned |= _planned_links(self._project, path)
            found = look()
        return found


def _planned_links(project: Path, params: Path) -> dict[str, Link]:
    """Return the links that parameters lead to, as far as they and the task can be read."""
    try:
        plan = Plan(load_params(params), project)
        links = [Link.of(result, project) for result in all_results(plan).values()]
    except SreclipError:
        return {}
    return {link.path: link for link in links}


def _walk(starts: Sequence[str], sources: _Sources) -> Iterator[Step]:
    """Yield each link once, before what it was made from."""
    order: list[Step] = []
    seen: set[str] = set()

    def visit(path: str) -> None:
        if path in seen:
            return
        seen.add(path)
        if (step := sources.step(path)) is not None:
            for made_from in step.link.inputs:
                visit(made_from)
            order.append(step)

    for path in starts:
        visit(path)
    return reversed(order)
