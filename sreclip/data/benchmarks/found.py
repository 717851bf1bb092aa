"""The images of one domain of a benchmark, by its class folders."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sreclip.data.benchmarks.spec import Side
from sreclip.data.listing import Listing
from sreclip.data.place import Place
from sreclip.errors import did_you_mean, some


class Problem(NamedTuple):
    """A reason why the set cannot be used, the way out, and each thing that it is about."""

    what: str
    hint: str
    items: Sequence[str]

    def __str__(self) -> str:
        return f"{self.what}: {some(self.items)}"


@dataclass
class Found:
    """The images of one domain.

    ``start`` is a folder or archive below the root; ``lists`` say which images count, without
    them all in class folders do; ``places`` has the images by label, ``archives`` their sizes and
    modification times; ``notes`` are worth knowing; ``heif_left_out`` is as in `TaskData`.
    """

    start: str
    lists: list[Path]
    places: dict[int, list[Place]] = field(default_factory=lambda: defaultdict(list))
    archives: dict[str, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    heif_left_out: int = 0

    def add_problem(self, what: str, hint: str, items: Sequence[str]) -> None:
        """Add a problem if there is anything that it is about."""
        if items:
            self.problems.append(Problem(what, hint, items))

    @property
    def n_images(self) -> int:
        """Number of images."""
        return sum(map(len, self.places.values()))


def folders_of(name: str) -> Iterator[str]:
    """Yield the folders of an image's name, the nearest first."""
    yield from reversed(name.split("/")[:-1])


def class_folder(name: str, side: Side) -> str | None:
    """Return the nearest folder of an image's name that is a class folder."""
    return next((part for part in folders_of(name) if part in side.folders), None)


def read_folders(here: Found, side: Side, listing: Listing) -> None:
    """Take the class of each image from the nearest folder that is one."""
    strange: Counter[str] = Counter()
    at: dict[int, set[str]] = defaultdict(set)
    aside = 0
    for name, place in listing.places.items():
        folder = class_folder(name, side)
        if folder is not None:
            label = side.folders[folder]
            here.places[label].append(place)
            at[label].add(name[: name.rindex(f"{folder}/") + len(folder)])
        elif any(part in side.aside for part in folders_of(name)):
            aside += 1
        else:
            strange[name.rpartition("/")[0]] += 1
    here.add_problem(
        f"folders that are no class: {len(strange)}; images in them: {sum(strange.values())}",
        "rename these folders, or move them away",
        [_guessed(folder, side) for folder in sorted(strange)],
    )
    twice = [" and ".join(sorted(folders)) for folders in at.values() if len(folders) > 1]
    here.add_problem(
        f"classes with more than one folder: {len(twice)}",
        "name the folder that counts, or move the others away",
        twice,
    )
    if aside:
        here.notes.append(f"images of classes that are not in this version: {aside}")


def _guessed(folder: str, side: Side) -> str:
    """Name a folder that is no class, and the class folder that may be meant."""
    name = folder.rpartition("/")[2]
    for known in side.folders:
        if known.casefold() == name.casefold():
            return f"{folder!r} (the class folder is written {known!r})"
    return f"{folder!r}{did_you_mean(name, side.folders)}"
