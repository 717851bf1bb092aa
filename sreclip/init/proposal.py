"""What two folders and some names amount to, before anything is run."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sreclip.config import parse_params
from sreclip.data.class_list import FIELDS, listed_names, read_class_list
from sreclip.data.class_names import ListedClass, display_name
from sreclip.data.manifest import ClassEntry
from sreclip.data.task import TaskData
from sreclip.data.tasks.folder import FolderTask, source_folders
from sreclip.errors import ConfigError, DataError
from sreclip.files import file_sha256
from sreclip.graph.build import map_classes
from sreclip.graph.placement import Placement
from sreclip.graph.senses import SenseMap

# Source classes of fewer images leave the model little to learn from.
FEW = 5
# Words in the name of the target that say how its images look, and how a prompt says it.
STYLES = {
    "art": "a painting of a {}.",
    "painting": "a painting of a {}.",
    "sketch": "a sketch of a {}.",
    "drawing": "a drawing of a {}.",
    "cartoon": "a cartoon of a {}.",
    "clipart": "a clipart of a {}.",
    "icon": "an icon of a {}.",
    "emoji": "an emoji of a {}.",
    "product": "a product photo of a {}.",
}
PHOTO = "a photo of a {}."


@dataclass(frozen=True)
class Proposal:
    """A task of one's own images.

    ``list_path`` is the class list that ``list_text`` is for, None where the class folders say
    all.
    """

    root: Path
    source: str
    target: str
    list_path: Path | None
    list_text: str
    data: TaskData

    @cached_property
    def classes(self) -> list[ClassEntry]:
        """All classes, in label order."""
        return list(self.data.classes)

    @cached_property
    def source_counts(self) -> list[int]:
        """Source images per class."""
        counts = Counter(image.label for image in self.data.images if image.domain == "source")
        return [counts[label] for label in range(len(self.classes))]

    @property
    def unknown(self) -> list[str]:
        """Names of the classes without a source image."""
        pairs = zip(self.classes, self.source_counts, strict=True)
        return [entry.name for entry, count in pairs if not count]

    @cached_property
    def targets(self) -> list[int | None]:
        """Labels of the target images, None where there is none."""
        return [image.label for image in self.data.images if image.domain == "target"]

    @cached_property
    def in_both(self) -> list[tuple[str, str]]:
        """Files of source and target with the same bytes."""
        by_size: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for image in self.data.images:
            if image.place.member is None:
                path = self.root / image.place.path
                by_size[path.stat().st_size][image.domain].append(image.place.path)
        found = []
        for domains in by_size.values():
            if len(domains) == 2:
                hashes = {file_sha256(self.root / name): name for name in domains["source"]}
                for name in domains["target"]:
                    if twin := hashes.get(file_sha256(self.root / name)):
                        found.append((twin, name))
        return sorted(found)

    @cached_property
    def senses(self) -> tuple[SenseMap, list[Placement]]:
        """What the names mean in WordNet, and where those go that it lacks."""
        found, placements = map_classes(parse_params({}), self.classes, lenient=True)
        return found, list(placements)

    @property
    def templates(self) -> list[str]:
        """Prompts for photos, and for what the target's name says it shows."""
        words = self.target.lower()
        styles = [prompt for word, prompt in STYLES.items() if word in words]
        return list(dict.fromkeys([PHOTO, *styles]))


def propose(source: Path, target: Path, given: Sequence[ListedClass], folder: Path) -> Proposal:
    """Look at two folders; with ``given`` classes, a class list is to be written to ``folder``.

    Raises
    ------
    ConfigError
        The folders are one, or one lies in the other.
    DataError
        A folder is missing or empty, has no class folders, or names clash.
    """
    for place in (source, target):
        if not place.is_dir():
            raise DataError(
                f"{place} is no folder", "give the folder of the source, then the target's"
            )
    real = [place.resolve() for place in (source, target)]
    if real[0] == real[1]:
        raise ConfigError(
            f"source and target are the same folder, {source}",
            "give a folder of labelled images, and one of images to label",
        )
    if real[0] in real[1].parents or real[1] in real[0].parents:
        raise ConfigError(f"one of {source} and {target} lies in the other", "move it out")
    root = Path(os.path.commonpath(real))
    starts = [str(path.relative_to(root)) for path in real]
    settings: dict[str, str | None] = {"root": str(root), "source": starts[0], "target": starts[1]}
    settings["classes"] = None
    list_path = list_place(given, folder)
    text = _list_text(source_folders(settings), given, list_path) if list_path else ""
    with tempfile.TemporaryDirectory() as scratch:
        if list_path:
            draft = Path(scratch) / list_path.name
            draft.write_text(text, encoding="utf-8")
            settings["classes"] = str(draft)
        data = FolderTask().prepare(settings, Path(scratch))
    return Proposal(root, starts[0], starts[1], list_path, text, data)


def list_place(given: Sequence[ListedClass], folder: Path) -> Path | None:
    """Return the class list to write: of names alone as text, of more as CSV; None for no class."""
    if not given:
        return None
    rows = map(_row, given)
    plain = all(
        display_name(folder) == name and name[0] != "#" and not (prompts or wnid)
        for name, prompts, wnid, folder in rows
    )
    return folder / ("classes.txt" if plain else "classes.csv")


def _list_text(folders: Sequence[str], given: Sequence[ListedClass], path: Path) -> str:
    """Write a class list: the source's class folders, then what else was given."""
    rows = {display_name(item.folder): _row(item) for item in given}
    of_source = {display_name(name): [name, "", "", name] for name in folders}
    rows = {name: rows.get(name, row) for name, row in of_source.items()} | rows
    if path.suffix == ".txt":
        return "".join(f"{row[0]}\n" for row in rows.values())
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([FIELDS, *rows.values()])
    return file.getvalue()


def _row(item: ListedClass) -> list[str]:
    """Return name, prompt names, WordNet id and folder."""
    entry = item.entry
    prompts = ";".join(entry.prompt_names) if entry.prompt_names != (entry.name,) else ""
    return [entry.name, prompts, entry.wnid or "", item.folder]


def names_of(given: str | None) -> list[ListedClass]:
    """Return classes that a user gave: a class list, or names between commas."""
    if not given:
        return []
    if Path(given).is_file():
        return read_class_list(Path(given))
    names = dict.fromkeys(name.strip() for name in given.split(",") if name.strip())
    return listed_names(list(names), "--names") if names else []
