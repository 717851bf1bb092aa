"""A benchmark as a task of the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sreclip.data.benchmarks.spec import Benchmark
from sreclip.data.benchmarks.survey import Survey, find_starts, list_paths, survey
from sreclip.data.listing import folders_and_archives, is_archive
from sreclip.data.manifest import (
    DOMAINS,
    Picture,
    TaskData,
    read_manifest,
    read_summary,
    shown_name,
    shown_names,
)
from sreclip.data.tasks import FirstLook
from sreclip.errors import DataError


class BenchmarkTask:
    """The functions that `sreclip.data.tasks` asks of a task.

    Parameters
    ----------
    benchmark_of : callable
        Gives the benchmark that a task's settings mean.
    """

    def __init__(self, benchmark_of: Callable[[Mapping[str, Any]], Benchmark]) -> None:
        self.benchmark_of = benchmark_of

    def prepare(self, settings: Mapping[str, Any], folder: Path) -> TaskData:
        """List the pictures of both domains.

        Raises
        ------
        DataError
            As `survey`; or something is wrong with the pictures: a class without any, a folder
            that is no class, a list that disagrees with the folders.
        """
        return task_data(survey(self.benchmark_of(settings), settings))

    def first_look(self, settings: Mapping[str, Any], folder: Path) -> FirstLook:
        """Look at folders, archives and lists, not at pictures; the classes are known anyway."""
        benchmark = self.benchmark_of(settings)
        root, starts = find_starts(benchmark, settings)
        alone = [start for start in starts.values() if is_archive(root, start)]
        seen, archives = folders_and_archives(
            root, [start for start in starts.values() if start not in alone], folder
        )
        inputs = [root / name for name in (*alone, *seen)] + archives
        inputs += [path for domain in DOMAINS for path in list_paths(settings, domain)]
        if settings.get("synsets"):
            inputs.append(root / settings["synsets"])
        with_source = set(benchmark.sides["source"].folders.values())
        classes = {
            entry.name: int(label in with_source) for label, entry in enumerate(benchmark.classes)
        }
        return FirstLook(sorted(set(inputs)), classes)

    def is_as_prepared(self, settings: Mapping[str, Any], folder: Path) -> bool:
        """Whether the pictures are those of a prepared task, by names and sizes.

        Raises
        ------
        DataError
            As `prepare`.
        """
        here = self.prepare(settings, folder)
        rows = read_manifest(folder, ["path", "size", "member"])
        expected = dict(zip(shown_names(rows), rows["size"], strict=True))
        dropped = set(read_summary(folder)["duplicates"]["dropped"])
        for picture in here.pictures:
            size = picture.size
            if size is None:
                size = (here.root / picture.path).stat().st_size
            name = shown_name(picture.path, picture.member)
            if expected.pop(name, None) != size and name not in dropped:
                return False
        return not expected


def task_data(found: Survey) -> TaskData:
    """Turn a survey without problems into a task's pictures.

    Raises
    ------
    DataError
        There are problems: all of them, and how to see each picture.
    """
    benchmark = found.benchmark
    if found.problems:
        lines = [f"{domain}: {problem}" for domain, problem in found.problems]
        check = f"sreclip data check {benchmark.name} --root ..."
        raise DataError(
            f"{found.root} does not hold {benchmark.title} as it was published\n"
            + "\n".join(f"  {line}" for line in lines),
            f"{found.problems[0][1].hint}; all of it: {check}",
        )
    pictures = [
        Picture(place.path, domain, label, place.member, place.offset, place.size)
        for domain in DOMAINS
        for label, places in sorted(found.found[domain].places.items())
        for place in places
    ]
    archives = {
        path: stamp for domain in DOMAINS for path, stamp in found.found[domain].archives.items()
    }
    notes = [f"{domain}: {note}" for domain in DOMAINS for note in found.found[domain].notes]
    different = list(found.differences())
    if different:
        domain, name, here, published = different[0]
        rest = f", and {len(different) - 1} more" if len(different) > 1 else ""
        notes.append(
            f"not as published: {domain}, {name}: {here} pictures instead of {published}{rest} "
            f"(all: sreclip data check {benchmark.name})"
        )
    return TaskData(
        found.root, pictures, benchmark.classes, benchmark.credits, tuple(notes), archives
    )
