"""What `sreclip data check` prints."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sreclip.data.benchmarks.survey import Survey
from sreclip.data.manifest import DOMAINS, Domain


def render(found: Survey) -> RenderableType:
    """Show what is there beside what was published; each problem and difference."""
    parts: list[RenderableType] = [_overview(found)]
    for domain in DOMAINS:
        parts += [Text(f"  {domain}: {note}") for note in found.found[domain].notes]
    differences = list(found.differences())
    if differences:
        parts += [Text(), _differences(differences)]
    for domain, problem in found.problems:
        parts += [Text(), Text(f"{domain}: {problem.what}", style="bold red")]
        parts += [Text(f"  {item}") for item in problem.items]
        parts.append(Text(f"  -> {problem.hint}"))
    parts += [Text(), Text(verdict(found))]
    return Group(*parts)


def verdict(found: Survey) -> str:
    """Say in a sentence whether the set can be used."""
    if found.problems:
        return "Not usable as it is: see above."
    n = sum(1 for _ in found.differences())
    if n:
        return (
            f"Usable, but not as published: {n} image counts differ; results are then not those "
            "of the published protocol."
        )
    return "All of it is there, as published."


def to_json(found: Survey) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "task": found.benchmark.name,
        "root": found.root.as_posix(),
        "domains": {
            domain: {
                "start": here.start,
                "images": here.n_images,
                "published": found.benchmark.sides[domain].total,
                "classes": sum(1 for places in here.places.values() if places),
                "notes": here.notes,
                "problems": [problem._asdict() for problem in here.problems],
            }
            for domain, here in found.found.items()
        },
        "differences": [
            {"domain": domain, "class": name, "images": here, "published": published}
            for domain, name, here, published in found.differences()
        ],
        "verdict": verdict(found),
    }


def _overview(found: Survey) -> Table:
    table = Table(
        title=f"{found.benchmark.title} below {found.root}", box=box.SIMPLE, title_justify="left"
    )
    table.add_column("domain")
    table.add_column("where", overflow="fold", ratio=1)
    for column in ("images", "published", "classes", "known", "unknown"):
        table.add_column(column, justify="right")
    for domain in DOMAINS:
        side, here = found.benchmark.sides[domain], found.found[domain]
        sizes = {label: len(places) for label, places in here.places.items() if places}
        known = sum(n for label, n in sizes.items() if found.benchmark.known[label])
        table.add_row(
            domain,
            here.start + "".join(f", {path.name}" for path in here.lists),
            f"{here.n_images:,}",
            "-" if side.total is None else f"{side.total:,}",
            f"{len(sizes):,} of {len(side.folders):,}",
            f"{known:,}",
            f"{here.n_images - known:,}",
        )
    return table


def _differences(differences: list[tuple[Domain, str, int, int]]) -> Table:
    table = Table(title="Other numbers of images", box=box.SIMPLE, title_justify="left")
    for column in ("domain", "class"):
        table.add_column(column)
    for column in ("here", "published", "difference"):
        table.add_column(column, justify="right")
    for domain, name, here, published in differences:
        table.add_row(domain, name, f"{here:,}", f"{published:,}", f"{here - published:+,}")
    return table
