"""A benchmark as a task of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sreclip.data.benchmarks.spec import benchmark_of
from sreclip.data.benchmarks.survey import find_starts, list_paths, survey, synsets_path
from sreclip.data.listing import folders_and_archives, is_archive, newly_readable
from sreclip.data.manifest import DOMAINS
from sreclip.data.task import FirstLook, Task, TaskData, TaskImage
from sreclip.errors import DataError


class BenchmarkTask(Task):
    """A public benchmark, with the settings of `sreclip.config.tasks.BenchmarkSettings`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def prepare(self, settings: Mapping[str, Any], folder: Path) -> TaskData:
        """List the images of both domains; problems with them are a `DataError`."""
        benchmark = benchmark_of(self.name, settings)
        found = survey(benchmark, settings)
        if found.problems:
            lines = [f"  {domain}: {problem}" for domain, problem in found.problems]
            raise DataError(
                f"{found.root} does not hold {benchmark.title} as it was published\n"
                + "\n".join(lines),
                f"{found.problems[0][1].hint}; all of it: sreclip data check {benchmark.name} "
                "--root ...",
            )
        images = [
            TaskImage(place, domain, label)
            for domain in DOMAINS
            for label, places in sorted(found.found[domain].places.items())
            for place in places
        ]
        notes = [f"{domain}: {note}" for domain in DOMAINS for note in found.found[domain].notes]
        different = list(found.differences())
        if different:
            domain, name, here, published = different[0]
            rest = f", and {len(different) - 1} more" if len(different) > 1 else ""
            notes.append(
                f"not as published: {domain}, {name}: {here} images instead of {published}{rest} "
                f"(all: sreclip data check {benchmark.name})"
            )
        return TaskData(
            found.root,
            images,
            benchmark.classes,
            benchmark.credits,
            tuple(notes),
            found.found["source"].archives | found.found["target"].archives,
            sum(here.heif_left_out for here in found.found.values()),
        )

    def first_look(self, settings: Mapping[str, Any], folder: Path) -> FirstLook:
        """Look at folders, archives and lists; the classes are known anyway."""
        benchmark = benchmark_of(self.name, settings)
        root, starts = find_starts(benchmark, settings)
        alone = [start for start in starts.values() if is_archive(root, start)]
        seen, archives = folders_and_archives(
            root,
            [start for start in starts.values() if start not in alone],
            folder,
            outside_links=settings["outside_links"],
        )
        inputs = {root / name for name in (*alone, *seen)}.union(
            archives,
            *(list_paths(settings, domain) for domain in DOMAINS),
            filter(None, [synsets_path(settings)]),
            newly_readable(folder),
        )
        with_source = set(benchmark.sides["source"].folders.values())
        classes = {
            entry.name: int(label in with_source) for label, entry in enumerate(benchmark.classes)
        }
        return FirstLook(sorted(inputs), classes)
