"""Descriptions of benchmarks: their classes, and where and how each domain names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from sreclip.data.benchmarks.classes import BenchmarkClass, read_benchmark_classes
from sreclip.data.manifest import DOMAINS, ClassEntry, Domain


@dataclass(frozen=True)
class Side:
    """One domain of a benchmark.

    Attributes
    ----------
    title : str
        Name for messages.
    places : sequence of str
        Folders or archives below the root where it usually lies, the surest first.
    folders : Mapping
        Label of each class folder; classes that are not here have no images in this domain.
    aside : frozenset of str
        Class folders that may be there as well and are left out.
    total : int or None
        Published number of images.
    counts : Mapping
        Published number of images by label, if it is published per class.
    numbers : sequence of int or None
        Label that each number of the published lists of images means; None if only the folders
        in the lists say it.
    """

    title: str
    places: Sequence[str]
    folders: Mapping[str, int]
    aside: frozenset[str] = frozenset()
    total: int | None = None
    counts: Mapping[int, int] = field(default_factory=dict)
    numbers: Sequence[int] | None = None


@dataclass(frozen=True)
class Benchmark:
    """A public data set with a published protocol.

    ``name`` is that of the task, ``table`` has the classes in label order, ``credits`` says who
    made the images, and under which terms.
    """

    name: str
    title: str
    table: Sequence[BenchmarkClass]
    sides: Mapping[Domain, Side]
    credits: str

    @cached_property
    def classes(self) -> list[ClassEntry]:
        """Classes in label order."""
        return [item.entry for item in self.table]

    @cached_property
    def known(self) -> list[bool]:
        """The published split, ``(n_classes,)``."""
        return [item.known for item in self.table]


class DomainFolder(NamedTuple):
    """A domain of a `PairedSet`: how copies write its folder, and its published image count."""

    spellings: Sequence[str]
    total: int | None


@dataclass(frozen=True)
class PairedSet:
    """A data set of several domains with the same classes, of which any two make a task.

    Attributes
    ----------
    name, title, credits : str
        As in `Benchmark`; the name is also that of the class table.
    domains : Mapping
        By name.
    above : sequence of str
        Folders that the domains may lie in.
    part : bool
        Take only the classes of the smaller version.
    """

    name: str
    title: str
    credits: str
    domains: Mapping[str, DomainFolder]
    above: Sequence[str] = ()
    part: bool = False

    def benchmark(self, settings: Mapping[str, Any]) -> Benchmark:
        """Return the benchmark of the settings' ``source`` and ``target`` domain."""
        table = read_benchmark_classes(self.name)
        kept = [item for item in table if item.part or not self.part]
        aside = {item.folder for item in table} - {item.folder for item in kept}
        folders = {item.folder: label for label, item in enumerate(kept)}
        sides: dict[Domain, Side] = {}
        for domain in DOMAINS:
            here = self.domains[settings[domain]]
            places = [f"{above}{name}" for above in self._above() for name in here.spellings]
            title = f"{self.title}'s {settings[domain]}"
            sides[domain] = Side(title, places, folders, frozenset(aside), here.total)
        return Benchmark(self.name, self.title, kept, sides, self.credits)

    def _above(self) -> list[str]:
        return ["", *(f"{folder}/" for folder in self.above)]
