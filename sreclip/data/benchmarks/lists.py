"""Lists of images as benchmarks publish them: one path and class number per line."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sreclip.data.benchmarks.found import Found, class_folder
from sreclip.data.benchmarks.spec import Side
from sreclip.data.listing import Listing
from sreclip.errors import DataError
from sreclip.files import read_utf8

_FORM = "a line is a path, a space and the number of the class, as in: killer+whale/1.jpg 0"


class Line(NamedTuple):
    """One line of a list: file and line number, the path as written, and the class number."""

    where: str
    path: str
    number: int

    def __str__(self) -> str:
        return f"{self.where} ({self.path} {self.number})"


def read_list(path: Path) -> Iterator[Line]:
    """Read a list; raise `DataError` if the file cannot be read, or a line has another form."""
    for where, text in _lines(path):
        written, _, number = text.rpartition(" ")
        if not written.strip() or not number.isascii() or not number.isdecimal():
            raise DataError(f"{where}: {text!r} is not a path and a class number", _FORM)
        yield Line(where, written.strip().replace("\\", "/"), int(number))


def read_synsets(path: Path, labels: Mapping[str, int]) -> list[int]:
    """Read which label each class number means: one WordNet id per line, words after it.

    ``labels`` has the label of each id. Raises `DataError` if the file cannot be read, or an id is
    no class of the benchmark or appears twice.
    """
    numbers: list[int] = []
    seen: dict[str, str] = {}
    for where, text in _lines(path):
        wnid = text.split()[0]
        if wnid not in labels:
            raise DataError(
                f"{where}: {wnid!r} is no class of this benchmark",
                "use the list of the release that the images are from",
            )
        if wnid in seen:
            raise DataError(f"{where}: {wnid} appears already at {seen[wnid]}", "fix the list")
        seen[wnid] = where
        numbers.append(labels[wnid])
    return numbers


def _all_lines(lists: Sequence[Path]) -> Iterator[Line]:
    return (line for path in lists for line in read_list(path))


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    text = read_utf8(path, "list", "give its path below the root, or an absolute path")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


class Resolver:
    """Finds the images that paths in a list mean, even if the list is from another machine.

    A path means the image whose name has the same end: its own name and the folder it lies in,
    or the name alone if the list gives no folder. ``names`` are the paths of the images that
    exist, below the root.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_base: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self._by_base[name.rpartition("/")[2]].append(name)
        self.prefixes: dict[str, str] = {}

    def find(self, path: str) -> Sequence[str]:
        """Return the images that ``path`` may mean: none, one, or several that fit equally."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        end = os.path.commonprefix  # of lists, too
        alike = {
            name: len(end([parts[::-1], name.split("/")[::-1]]))
            for name in self._by_base.get(parts[-1] if parts else "", ())
        }
        longest = max(alike.values(), default=0)
        best = [name for name, n in alike.items() if n == longest >= min(2, len(parts))]
        if len(best) == 1 and path.startswith("/"):
            shared = "/".join(parts[-longest:])
            self.prefixes[path.removesuffix(shared)] = best[0].removesuffix(shared)
        return best


class _LineError(Exception):
    """What is wrong with a line, the way out, and how to name the line."""


class ListReader:
    """Takes the images that lists name, by class number and folder, which must agree."""

    def __init__(self, side: Side, listing: Listing, numbers: Sequence[int] | None) -> None:
        self._side, self._listing, self._numbers = side, listing, numbers
        self._with_images = set(side.folders.values())
        self._resolver = Resolver(listing.places)
        # Where each image was named first.
        self._seen: dict[str, str] = {}
        # The label that a number means by the folders, and the first line that says so.
        self._meant: dict[int, tuple[int, str]] = {}

    def read(self, here: Found) -> None:
        """Read the lists of a domain; what is wrong becomes its problems."""
        if self._numbers is None:
            self._meant = self._meanings(here.lists)
        wrong: dict[tuple[str, str], list[str]] = defaultdict(list)
        for line in _all_lines(here.lists):
            try:
                name = self._image(line)
                here.places[self._label(name, line)].append(self._listing.places[name])
            except _LineError as error:
                what, hint, item = error.args
                wrong[what, hint].append(str(item))
        for (what, hint), items in wrong.items():
            here.add_problem(f"{len(items)} {what}", hint, items)
        for old, new in sorted(self._resolver.prefixes.items()):
            here.notes.append(f"{old} of the list is {new or '.'} here")
        left = len(self._listing.places) - len(self._seen)
        if left:
            here.notes.append(f"images that no list names, left out: {left}")

    def _meanings(self, lists: Sequence[Path]) -> dict[int, tuple[int, str]]:
        """Return which label each number means: that of the folders which most lines name.

        Of labels that as many lines name, it is the one that has fewer lines with other numbers.
        So a wrong line is the odd one out wherever it stands, also as the first.
        """
        votes: dict[int, Counter[int]] = defaultdict(Counter)
        n_lines: Counter[int] = Counter()
        first: dict[tuple[int, int], str] = {}
        for line in _all_lines(lists):
            names = self._resolver.find(line.path)
            folder = class_folder(names[0], self._side) if len(names) == 1 else None
            if folder is not None:
                label = self._side.folders[folder]
                votes[line.number][label] += 1
                n_lines[label] += 1
                first.setdefault((line.number, label), line.where)
        meant = {
            number: max(counts, key=lambda label: (counts[label], -n_lines[label]))
            for number, counts in votes.items()
        }
        return {number: (label, first[number, label]) for number, label in meant.items()}

    def _image(self, line: Line) -> str:
        """Return the name of the one image that a line means."""
        item = f"{line.where} ({line.path})"
        names = self._resolver.find(line.path)
        if not names:
            hint = "get the images, or another list"
            raise _LineError("lines name no image that is here", hint, item)
        if len(names) > 1:
            raise _LineError("lines fit more than one image", "name the folder that counts", item)
        first = self._seen.setdefault(names[0], line.where)
        if first != line.where:
            item = f"{line.where} ({names[0]}, first at {first})"
            raise _LineError("lines name an image again", "remove one of each pair", item)
        return names[0]

    def _label(self, name: str, line: Line) -> int:
        """Return the label that folder and number agree on."""
        folder = class_folder(name, self._side)
        by_folder = None if folder is None else self._side.folders[folder]
        by_number, first = self._meaning(line)
        if by_folder is not None and by_folder != by_number:
            raise _LineError(
                "lines have a class number that disagrees with the folder",
                "fix the list or the folder",
                f"{line.where} ({name} {line.number})" + (f", unlike {first}" if first else ""),
            )
        if by_number not in self._with_images:
            raise _LineError(
                "lines are of classes that have no images in this domain",
                "remove them: labelled images of unknown classes are not part of the protocol",
                line,
            )
        return by_number

    def _meaning(self, line: Line) -> tuple[int, str]:
        """Return the label of a line's number, and the line that told it, if one did."""
        if self._numbers is None:
            if line.number not in self._meant:
                raise _LineError(
                    "lines have a class number that nothing explains",
                    "give the list of WordNet ids in the order of the numbers (synsets)",
                    line,
                )
            return self._meant[line.number]
        if line.number >= len(self._numbers):
            raise _LineError("lines have a class number that is too large", "fix the list", line)
        return self._numbers[line.number], ""
