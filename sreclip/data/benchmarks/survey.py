"""What is there of a benchmark, beside what was published."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sreclip.data.benchmarks.lists import Line, Resolver, read_list, read_synsets
from sreclip.data.benchmarks.spec import Benchmark, Side
from sreclip.data.listing import Listing, Place, folders_of, list_pictures
from sreclip.data.manifest import DOMAINS, Domain, resolve_inside, shown_name
from sreclip.errors import DataError, some
from sreclip.registry import nearest


@dataclass(frozen=True)
class Problem:
    """Something that forbids to go on: what, the way out, and each thing that it is about."""

    what: str
    hint: str
    items: Sequence[str]

    def __str__(self) -> str:
        return f"{self.what}: {some(self.items)}"


@dataclass
class Found:
    """What one domain holds.

    Attributes
    ----------
    start : str
        Folder or archive, below the root.
    lists : list of Path
        Lists of pictures that say which count; none: all that lie in class folders.
    places : dict
        Pictures by label.
    archives : dict
        Size and modification time of each archive.
    problems : list of Problem
    notes : list of str
        What is worth knowing.
    """

    start: str
    lists: list[Path]
    places: dict[int, list[Place]] = field(default_factory=lambda: defaultdict(list))
    archives: dict[str, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def n_pictures(self) -> int:
        """Pictures in all."""
        return sum(map(len, self.places.values()))


@dataclass(frozen=True)
class Survey:
    """What is there of a benchmark, for both domains."""

    benchmark: Benchmark
    root: Path
    found: Mapping[Domain, Found]

    @property
    def problems(self) -> list[tuple[Domain, Problem]]:
        """What forbids to go on, in both domains."""
        return [(domain, problem) for domain in DOMAINS for problem in self.found[domain].problems]

    def differences(self) -> Iterator[tuple[Domain, str, int, int]]:
        """Give domain, class, number of pictures here, and as published, where they differ.

        The class is ``all`` where only the whole is published.
        """
        for domain in DOMAINS:
            side, found = self.benchmark.sides[domain], self.found[domain]
            for label, published in side.counts.items():
                here = len(found.places.get(label, ()))
                if here != published:
                    yield domain, self.benchmark.classes[label].name, here, published
            if not side.counts and side.total not in (None, found.n_pictures):
                assert side.total is not None
                yield domain, "all", found.n_pictures, side.total


def survey(benchmark: Benchmark, settings: Mapping[str, Any]) -> Survey:
    """Look at what is there.

    Parameters
    ----------
    benchmark : Benchmark
    settings : Mapping
        ``root``; ``source`` and ``target``, a folder or an archive below it (by default the
        usual ones); ``source_list`` and ``target_list``, files that list pictures with class
        numbers; ``synsets``, the file that says which class a number means.

    Raises
    ------
    DataError
        There is no such folder, more than one, or a link leads out of the root; a list or an
        archive cannot be read. What is wrong with the pictures stands in the survey instead.
    """
    root, starts = find_starts(benchmark, settings)
    found = {}
    for domain in DOMAINS:
        side = benchmark.sides[domain]
        here = Found(starts[domain], list_paths(settings, domain))
        listing = list_pictures(root, here.start)
        here.archives = listing.archives
        if here.lists:
            _ListReader(side, listing, _numbers(side, settings)).read(here)
        else:
            _read_folders(here, side, listing)
        if listing.ignored:
            kinds = (f"{n} {kind or 'no suffix'}" for kind, n in sorted(listing.ignored.items()))
            here.notes.append(f"files ignored for not being pictures: {', '.join(kinds)}")
        _look_for_classes(here, side, benchmark)
        found[domain] = here
    _refuse_shared(found)
    return Survey(benchmark, root, found)


def list_paths(settings: Mapping[str, Any], domain: Domain) -> list[Path]:
    """Where a domain's lists of pictures lie."""
    return [Path(settings["root"]) / name for name in settings.get(f"{domain}_list") or ()]


def find_starts(
    benchmark: Benchmark, settings: Mapping[str, Any]
) -> tuple[Path, dict[Domain, str]]:
    """Give the root, and where each domain lies below it.

    Raises
    ------
    DataError
        The root or a domain is missing, or it is not clear which of several folders is meant.
    """
    where = f"task.{benchmark.name}"
    root = Path(settings.get("root") or "")
    if not settings.get("root") or not root.is_dir():
        raise DataError(
            f"{settings.get('root') or 'no root'}: the data root is missing or not a folder",
            f"set {where}.root to the folder that holds both domains",
        )
    starts: dict[Domain, str] = {}
    for domain in DOMAINS:
        side, named = benchmark.sides[domain], settings.get(f"{domain}_folder")
        usual = [named] if named else side.places
        there = [place for place in usual if resolve_inside(root, place).exists()]
        if not there:
            raise DataError(
                f"{root}: {side.title} is not there (looked for {', '.join(usual)})",
                f"set {where}.root to the folder above, or {where}.{domain}_folder to where it is",
            )
        apart = [place for place in there if not _related(place, there[0])]
        if apart:
            raise DataError(
                f"{root}: {side.title} may be {there[0]!r} or {apart[0]!r}",
                f"say which by {where}.{domain}_folder",
            )
        starts[domain] = PurePosixPath(there[0]).as_posix()
    return root, starts


def _related(one: str, other: str) -> bool:
    a, b = PurePosixPath(one), PurePosixPath(other)
    return a.is_relative_to(b) or b.is_relative_to(a)


def _numbers(side: Side, settings: Mapping[str, Any]) -> Sequence[int] | None:
    synsets = settings.get("synsets")
    if not synsets:
        return side.numbers
    return read_synsets(Path(settings["root"]) / synsets, side.folders)


def _read_folders(here: Found, side: Side, listing: Listing) -> None:
    """Take the class of each picture from the nearest folder that is one."""
    strange: Counter[str] = Counter()
    at: dict[int, set[str]] = defaultdict(set)
    aside = 0
    for name, place in listing.places.items():
        folder = next((part for part in folders_of(name) if part in side.folders), None)
        if folder is not None:
            label = side.folders[folder]
            here.places[label].append(place)
            at[label].add(name[: name.rindex(f"{folder}/") + len(folder)])
        elif any(part in side.aside for part in folders_of(name)):
            aside += 1
        else:
            strange[name.rpartition("/")[0]] += 1
    if strange:
        here.problems.append(
            Problem(
                f"folders that are no class: {len(strange)}; "
                f"pictures in them: {sum(strange.values())}",
                "rename these folders, or move them away",
                [_guessed(folder, side) for folder in sorted(strange)],
            )
        )
    twice = [" and ".join(sorted(folders)) for folders in at.values() if len(folders) > 1]
    if twice:
        here.problems.append(
            Problem(
                f"classes with more than one folder: {len(twice)}",
                "name the folder that counts, or move the others away",
                twice,
            )
        )
    if aside:
        here.notes.append(f"pictures of classes that are not in this version: {aside}")


def _guessed(folder: str, side: Side) -> str:
    """Name a folder that is no class, and the class folder that may be meant."""
    name = folder.rpartition("/")[2]
    for known in side.folders:
        if known.casefold() == name.casefold():
            return f"{folder!r} (the class folder is written {known!r})"
    guess = nearest(name, side.folders)
    return f"{folder!r}" + (f" (nearest is {guess!r})" if guess else "")


class _ListReader:
    """Takes the pictures that lists name, by class number and folder, which must agree."""

    def __init__(self, side: Side, listing: Listing, numbers: Sequence[int] | None) -> None:
        self._side, self._listing, self._numbers = side, listing, numbers
        self._with_pictures = set(side.folders.values())
        # The label that a number was first seen with, and where.
        self._meant: dict[int, tuple[int, str]] = {}
        self._wrong: dict[tuple[str, str], list[str]] = defaultdict(list)

    def read(self, here: Found) -> None:
        resolver = Resolver(self._listing.places)
        seen: dict[str, str] = {}
        for line in (line for path in here.lists for line in read_list(path)):
            names = resolver.find(line.path)
            if len(names) != 1:
                self._misses(line, bool(names))
            elif names[0] in seen:
                self._wrong["lines name a picture again", "take one of each pair out"].append(
                    f"{line.place} ({names[0]}, first at {seen[names[0]]})"
                )
            else:
                seen[names[0]] = line.place
                label = self._label(names[0], line)
                if label is not None:
                    here.places[label].append(self._listing.places[names[0]])
        here.problems += [
            Problem(f"{len(items)} {what}", hint, items)
            for (what, hint), items in self._wrong.items()
        ]
        for old, new in sorted(resolver.prefixes.items()):
            here.notes.append(f"{old} of the list is {new or '.'} here")
        left = len(self._listing.places) - len(seen)
        if left:
            here.notes.append(f"pictures that no list names, left out: {left}")

    def _misses(self, line: Line, several: bool) -> None:
        what = (
            ("lines fit more than one picture", "name the folder that counts")
            if several
            else ("lines name no picture that is here", "get the pictures, or another list")
        )
        self._wrong[what].append(f"{line.place} ({line.path})")

    def _label(self, name: str, line: Line) -> int | None:
        """Give the label that folder and number agree on; else note what is wrong."""
        folder = next((part for part in folders_of(name) if part in self._side.folders), None)
        by_folder = None if folder is None else self._side.folders[folder]
        first = ""
        if self._numbers is None:
            by_number, first = self._meant.get(line.number, (by_folder, ""))
            if by_number is None:
                self._wrong[
                    "lines have a class number that nothing explains",
                    "give the list of WordNet ids in the order of the numbers (synsets)",
                ].append(f"{line.place} ({line.path} {line.number})")
                return None
            self._meant.setdefault(line.number, (by_number, line.place))
        elif line.number < len(self._numbers):
            by_number = self._numbers[line.number]
        else:
            self._wrong["lines have a class number that is too large", "mend the list"].append(
                f"{line.place} ({line.path} {line.number})"
            )
            return None
        if by_folder is not None and by_folder != by_number:
            self._wrong[
                "lines have a class number that disagrees with the folder", "mend list or folder"
            ].append(f"{line.place} ({name} {line.number})" + (f", unlike {first}" * bool(first)))
            return None
        if by_number not in self._with_pictures:
            self._wrong[
                "lines are of classes that have no pictures in this domain",
                "take them out: labelled pictures of unknown classes are not part of the protocol",
            ].append(f"{line.place} ({line.path} {line.number})")
            return None
        return by_number


def _look_for_classes(here: Found, side: Side, benchmark: Benchmark) -> None:
    absent = {folder: label for folder, label in side.folders.items() if not here.places.get(label)}
    if absent:
        here.problems.append(
            Problem(
                f"{len(absent)} of {len(side.folders)} classes have no picture",
                "get the rest, or use the folder task with a class list of your own",
                [f"{benchmark.classes[label].name} ({name})" for name, label in absent.items()],
            )
        )


def _refuse_shared(found: Mapping[Domain, Found]) -> None:
    source, target = (
        {place[:2] for places in found[domain].places.values() for place in places}
        for domain in DOMAINS
    )
    both = sorted(shown_name(*place) for place in source & target)
    if both:
        found["target"].problems.append(
            Problem(
                f"{len(both)} pictures are listed in the source as well",
                "a picture with a label must not be in the test: take them out of one list",
                both,
            )
        )
