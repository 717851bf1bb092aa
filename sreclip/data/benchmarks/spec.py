"""What a benchmark holds, and where and how each domain names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sreclip.data.benchmarks import describe
from sreclip.data.benchmarks.classes import BenchmarkClass, read_benchmark_classes
from sreclip.data.manifest import DOMAINS, ClassEntry, Domain


@dataclass(frozen=True)
class Side:
    """One domain of a benchmark.

    ``places`` are folders or archives below the root where it usually lies, the surest first.
    ``folders`` has the label of each class folder; other classes have no images in this domain.
    ``numbers`` has the label that each number of the published lists of images means, and is None
    if only the folders in the lists say it.
    """

    title: str  # for messages
    places: Sequence[str]
    folders: Mapping[str, int]
    aside: set[str]  # class folders that may be there as well and are left out
    total: int | None  # published number of images
    counts: Mapping[int, int]  # the same by label, if it is published per class
    numbers: Sequence[int] | None


@dataclass(frozen=True)
class Benchmark:
    """A public data set with a published protocol, ``known`` being its split."""

    name: str
    title: str
    classes: Sequence[ClassEntry]
    known: Sequence[bool]
    sides: Mapping[Domain, Side]
    credits: str


def benchmark_of(name: str, settings: Mapping[str, Any]) -> Benchmark:
    """Return the benchmark that a task's settings mean.

    ``NAME.toml`` has ``title``, ``credits``, and a table per domain: either ``source`` and
    ``target`` with ``title`` and ``places``; or ``domains``, any two of which make a task. These
    lie at the root or in a folder of ``above``, under one of their ``spellings``. All keys of a
    domain but its place are optional:

    - ``images``: the published number, if it is not in the class table;
    - ``class_folder``: the form of the class folders' names, by default ``{folder}``;
    - ``known_only``: unknown classes have no images here;
    - ``numbered``: lists of images number the classes as the class table does.

    What ``mini`` has replaces the rest if the settings ask for the smaller version.
    """
    told, table = describe(name), read_benchmark_classes(name)
    kept = [item for item in table if item.mini or not settings.get("mini")]
    if settings.get("mini"):
        told = told | told["mini"]
    aside = {item.folder for item in table} - {item.folder for item in kept}
    sides: dict[Domain, Side] = {}
    for domain in DOMAINS:
        if "domains" in told:
            chosen = settings[domain]
            here = told["domains"][chosen]
            spellings = here.get("spellings", [chosen])
            above = ["", *(f"{folder}/" for folder in told["above"])]
            places = [f"{folder}{spelling}" for folder in above for spelling in spellings]
            title = f"{told['title']}'s {chosen}"
        else:
            here = told[domain]
            title, places = here["title"], here["places"]
        sides[domain] = _side(domain, title, places, here, kept, aside)
    classes, known = [item.entry for item in kept], [item.known for item in kept]
    return Benchmark(name, told["title"], classes, known, sides, told["credits"])


def _side(
    domain: Domain,
    title: str,
    places: Sequence[str],
    told: Mapping[str, Any],
    table: Sequence[BenchmarkClass],
    aside: set[str],
) -> Side:
    form = told.get("class_folder", "{folder}")
    folders = {
        form.format(folder=item.folder, wnid=item.entry.wnid): label
        for label, item in enumerate(table)
        if item.known or not told.get("known_only")
    }
    published = ((label, getattr(item, domain)) for label, item in enumerate(table))
    counts = {label: count for label, count in published if count}
    total = told.get("images") or sum(counts.values()) or None
    numbers = range(len(table)) if told.get("numbered") else None
    return Side(title, places, folders, aside, total, counts, numbers)
