"""What a benchmark says of itself: its classes, and where and how each domain names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sreclip.data.benchmarks.classes import BenchmarkClass
from sreclip.data.manifest import ClassEntry, Domain


@dataclass(frozen=True)
class Side:
    """One domain of a benchmark.

    Attributes
    ----------
    title : str
        What it is called, for messages.
    places : sequence of str
        Folders or archives below the root where it usually lies, the surest first.
    folders : Mapping
        Label of each class folder; classes that are not here have no pictures in this domain.
    aside : frozenset of str
        Class folders that may be there as well and are left out.
    total : int or None
        Published number of pictures.
    counts : Mapping
        Published number of pictures by label, where it is published by class.
    numbers : sequence of int or None
        Label that each number of the published lists of pictures means; None where only the
        folders in the lists tell.
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

    Attributes
    ----------
    name : str
        Task name.
    title : str
    classes : sequence of ClassEntry
        In label order.
    known : sequence of bool
        The published split, ``(n_classes,)``.
    sides : Mapping
        Both domains.
    credits : str
        Who made the pictures, and under which terms.
    """

    name: str
    title: str
    classes: Sequence[ClassEntry]
    known: Sequence[bool]
    sides: Mapping[Domain, Side]
    credits: str


def counts(classes: Sequence[BenchmarkClass], domain: Domain) -> dict[int, int]:
    """Give a domain's published numbers of pictures by label, as far as there are any."""
    found = {label: getattr(entry, domain) for label, entry in enumerate(classes)}
    return {label: number for label, number in found.items() if number}
