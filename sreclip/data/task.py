"""The contract of a task: where the images and the classes come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sreclip.data.manifest import (
    ClassEntry,
    Domain,
    read_classes,
    read_manifest,
    read_summary,
)
from sreclip.data.place import Place, image_names
from sreclip.errors import DataError


class TaskImage(NamedTuple):
    """One image as a task finds it; ``label`` is None where the layout does not say it."""

    place: Place
    domain: Domain
    label: int | None


@dataclass(frozen=True)
class TaskData:
    """What a task yields.

    ``classes`` are in label order; labels of target images go to the separate label file.
    ``credits`` say who made the images, and under which terms; ``notes`` are worth knowing;
    ``archives`` has the size and modification time of each archive when it was listed;
    ``heif_left_out`` is the number of HEIC images that are not among the images because this
    machine cannot read them.
    Of ready features, ``hashes`` has the SHA-256 of each row, and rows stay in the order of
    ``images``, which is that of the domains; ``ready`` is what ``summary.json`` keeps of them.
    """

    root: Path
    images: Sequence[TaskImage]
    classes: Sequence[ClassEntry]
    credits: str = ""
    notes: tuple[str, ...] = ()
    archives: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    heif_left_out: int = 0
    hashes: Any = None
    ready: Mapping[str, Any] = field(default_factory=dict)


class FirstLook(NamedTuple):
    """What is known of a task before it is prepared.

    When the time of one of ``inputs``, files and folders, is another one, the task must be prepared
    again (see `sreclip.data.changes`).
    ``classes`` has the class names, with 0 for those without source images; it is None when only
    the preparation can tell.
    """

    inputs: list[Path]
    classes: dict[str, int] | None


class Task(ABC):
    """Lists the images and the classes of a data set.

    Its settings are the task's own section of the parameters. It has no state.
    """

    @abstractmethod
    def prepare(self, settings: Mapping[str, Any], folder: Path) -> TaskData:
        """List the images and the classes; raise `DataError` if they cannot be used.

        The task may keep files that it makes in ``folder``.
        """

    def first_look(self, settings: Mapping[str, Any], folder: Path) -> FirstLook:
        """Tell what the task depends on, without reading images. By default: nothing.

        The task's files are in ``folder``, if it was prepared before.
        """
        return FirstLook([], None)

    def is_as_prepared(self, settings: Mapping[str, Any], folder: Path) -> bool:
        """Tell whether classes, names and sizes of the images are those of the prepared task."""
        try:
            here = self.prepare(settings, folder)
        except DataError:  # preparing it again will tell the user
            return False
        if list(here.classes) != read_classes(folder):
            return False
        rows = read_manifest(folder, ["path", "size", "member"])
        expected = dict(zip(image_names(rows), rows["size"], strict=True))
        dropped = set(read_summary(folder)["duplicates"]["dropped"])
        for place, *_ in here.images:
            size = place.size
            if size is None:
                size = (here.root / place.path).stat().st_size
            if expected.pop(place.name, None) != size and place.name not in dropped:
                return False
        return not expected
