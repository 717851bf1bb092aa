"""Compares the images of a benchmark below a root with what was published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sreclip.data.benchmarks.found import Found, Problem, read_folders
from sreclip.data.benchmarks.lists import ListReader, read_synsets
from sreclip.data.benchmarks.spec import Benchmark
from sreclip.data.listing import count_heif, left_out, list_images
from sreclip.data.manifest import DOMAINS, Domain
from sreclip.data.place import resolve_inside
from sreclip.errors import DataError


@dataclass(frozen=True)
class Survey:
    """The images of a benchmark below a root, of both domains."""

    benchmark: Benchmark
    root: Path
    found: Mapping[Domain, Found]

    @property
    def problems(self) -> list[tuple[Domain, Problem]]:
        """Reasons why the set cannot be used, of both domains."""
        return [(domain, problem) for domain in DOMAINS for problem in self.found[domain].problems]

    def differences(self) -> Iterator[tuple[Domain, str, int, int]]:
        """Yield domain, class, number of images here, and as published, where they differ.

        The class is ``all`` if only the total is published.
        """
        for domain in DOMAINS:
            side, found = self.benchmark.sides[domain], self.found[domain]
            for label, published in side.counts.items():
                here = len(found.places.get(label, ()))
                if here != published:
                    yield domain, self.benchmark.classes[label].name, here, published
            if not side.counts and side.total is not None and side.total != found.n_images:
                yield domain, "all", found.n_images, side.total


def survey(benchmark: Benchmark, settings: Mapping[str, Any]) -> Survey:
    """List both domains, with the settings of `BenchmarkTask`.

    Raises as `find_starts`; `DataError` if a link leads out of the root, or a list or an archive
    cannot be read. Problems with the images are in the survey instead.
    """
    root, starts = find_starts(benchmark, settings)
    found = {}
    for domain in DOMAINS:
        side = benchmark.sides[domain]
        here = Found(starts[domain], list_paths(settings, domain))
        listing = list_images(root, here.start, outside_links=settings["outside_links"])
        here.archives = listing.archives
        if here.lists:
            synsets = synsets_path(settings)
            numbers = read_synsets(synsets, side.folders) if synsets else side.numbers
            ListReader(side, listing, numbers).read(here)
        else:
            read_folders(here, side, listing)
        here.notes += left_out(listing.ignored, listing.skipped)
        here.heif_left_out = count_heif(listing.ignored)
        empty = {name: label for name, label in side.folders.items() if not here.places.get(label)}
        here.add_problem(
            f"{len(empty)} of {len(side.folders)} classes have no image",
            "get the rest, or use the folder task with a class list of your own",
            [f"{benchmark.classes[label].name} ({name})" for name, label in empty.items()],
        )
        found[domain] = here
    _refuse_shared(found)
    return Survey(benchmark, root, found)


def list_paths(settings: Mapping[str, Any], domain: Domain) -> list[Path]:
    """Return where a domain's lists of images lie."""
    return [Path(settings["root"]) / name for name in settings[f"{domain}_list"]]


def synsets_path(settings: Mapping[str, Any]) -> Path | None:
    """Return where the list of WordNet ids lies; not every benchmark has the setting."""
    name = settings.get("synsets")
    return Path(settings["root"]) / name if name else None


def find_starts(
    benchmark: Benchmark, settings: Mapping[str, Any]
) -> tuple[Path, dict[Domain, str]]:
    """Return the root, and where each domain lies below it.

    Raises `DataError` if one is missing, or it is not clear which of several folders is meant.
    """
    section = f"task.{benchmark.name}"
    root = Path(settings["root"])
    if not root.is_dir():
        raise DataError(
            f"{root.absolute()}: the data root is missing or not a folder",
            f"set {section}.root to the folder that holds both domains",
        )
    starts: dict[Domain, str] = {}
    for domain in DOMAINS:
        side, named = benchmark.sides[domain], settings[f"{domain}_folder"]
        usual = [named] if named else side.places
        there = [
            place
            for place in usual
            if resolve_inside(root, place, outside_links=settings["outside_links"]).exists()
        ]
        if not there:
            raise DataError(
                f"{root}: {side.title} is not there (looked for {', '.join(usual)})",
                f"set {section}.root to the folder above, or {section}.{domain}_folder to where "
                "it is",
            )
        first = PurePosixPath(there[0])
        apart = [
            place
            for place in map(PurePosixPath, there)
            if not (place.is_relative_to(first) or first.is_relative_to(place))
        ]
        if apart:
            raise DataError(
                f"{root}: {side.title} may be {there[0]!r} or {str(apart[0])!r}",
                f"say which with {section}.{domain}_folder",
            )
        starts[domain] = first.as_posix()
    return root, starts


def _refuse_shared(found: Mapping[Domain, Found]) -> None:
    source, target = (
        {place.name for places in found[domain].places.values() for place in places}
        for domain in DOMAINS
    )
    both = sorted(source & target)
    found["target"].add_problem(
        f"{len(both)} images are listed in the source as well",
        "an image with a label must not be in the test: remove them from one list",
        both,
    )
