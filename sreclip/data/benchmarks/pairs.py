"""Data sets of several domains, of which any two make a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sreclip.data.benchmarks.classes import BenchmarkClass
from sreclip.data.benchmarks.spec import Benchmark, Side
from sreclip.data.manifest import DOMAINS


@dataclass(frozen=True)
class DomainFolder:
    """One of a set's domains.

    Attributes
    ----------
    spellings : sequence of str
        How its folder is written in the copies that are about.
    total : int or None
        Published number of pictures.
    """

    spellings: Sequence[str]
    total: int | None


@dataclass(frozen=True)
class PairedSet:
    """A set of several domains with the same classes.

    Attributes
    ----------
    name, title, credits : str
    classes : sequence of BenchmarkClass
    domains : Mapping
        By name.
    above : sequence of str
        Folders that the domains may lie in.
    aside : frozenset of str
        Class folders of the larger set that this one leaves out.
    """

    name: str
    title: str
    credits: str
    classes: Sequence[BenchmarkClass]
    domains: Mapping[str, DomainFolder]
    above: Sequence[str] = ()
    aside: frozenset[str] = frozenset()

    def benchmark(self, settings: Mapping[str, Any]) -> Benchmark:
        """Give the benchmark of the settings' ``source`` and ``target`` domain."""
        return Benchmark(
            self.name,
            self.title,
            [item.entry for item in self.classes],
            [item.known for item in self.classes],
            {domain: self._side(settings[domain]) for domain in DOMAINS},
            self.credits,
        )

    def _side(self, domain: str) -> Side:
        here = self.domains[domain]
        places = [
            f"{folder}/{name}" if folder else name
            for folder in ("", *self.above)
            for name in here.spellings
        ]
        folders = {item.folder: label for label, item in enumerate(self.classes)}
        return Side(f"{self.title}'s {domain}", places, folders, self.aside, here.total)
