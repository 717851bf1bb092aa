"""Lists of pictures as benchmarks publish them: a path and a class number a line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sreclip.data.class_list import read_utf8
from sreclip.errors import DataError

_FORM = "a line is a path, a space and the number of the class, as in: killer+whale/1.jpg 0"


@dataclass(frozen=True)
class Line:
    """One line: where it stands, the path as written, and the class number."""

    place: str
    path: str
    number: int


def read_list(path: Path) -> Iterator[Line]:
    """Read a list; empty lines are passed over.

    Raises
    ------
    DataError
        The file cannot be read, or a line has another form.
    """
    for place, text in _lines(path):
        written, _, number = text.rpartition(" ")
        if not written.strip() or not number.isascii() or not number.isdecimal():
            raise DataError(f"{place}: {text!r} is no path and class number", _FORM)
        yield Line(place, written.strip().replace("\\", "/"), int(number))


def read_synsets(path: Path, labels: Mapping[str, int]) -> list[int]:
    """Read which class each number means from a list of WordNet ids, one a line, words after it.

    Parameters
    ----------
    path : Path
        Such as WebVision's ``info/synsets.txt``.
    labels : Mapping
        Label of each id.

    Raises
    ------
    DataError
        The file cannot be read, or an id is no class of the benchmark or stands twice.
    """
    numbers: list[int] = []
    seen: dict[str, str] = {}
    for place, text in _lines(path):
        wnid = text.split()[0]
        if wnid not in labels:
            raise DataError(
                f"{place}: {wnid!r} is no class of this benchmark",
                "give the list of the release whose pictures these are",
            )
        if wnid in seen:
            raise DataError(f"{place}: {wnid} stands already at {seen[wnid]}", "mend the list")
        seen[wnid] = place
        numbers.append(labels[wnid])
    return numbers


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    text = read_utf8(path, "list", "a list is named below the root, or whole")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


class Resolver:
    """Finds the pictures that paths in a list mean, though they lay elsewhere when it was made.

    A path means the picture whose name ends alike: with its own name and the folder it lies in,
    or with the name alone where the list gives no folder.

    Parameters
    ----------
    names : iterable of str
        Pictures that there are, by path below the root.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_base: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self._by_base[name.rpartition("/")[2]].append(name)
        self.prefixes: dict[str, str] = {}

    def find(self, path: str) -> Sequence[str]:
        """Give the pictures that ``path`` may mean: none, one, or several that fit equally."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        best: list[str] = []
        longest = min(2, len(parts))
        for name in self._by_base.get(parts[-1] if parts else "", ()):
            alike = _common_end(parts, name.split("/"))
            if alike > longest:
                best, longest = [name], alike
            elif alike == longest:
                best.append(name)
        if len(best) == 1 and path.startswith("/"):
            old = path.removesuffix("/".join(parts[len(parts) - longest :]))
            new = best[0].removesuffix("/".join(parts[len(parts) - longest :]))
            self.prefixes[old] = new
        return best


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    alike = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        alike += 1
    return alike
