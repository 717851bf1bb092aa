"""What two folders and some names amount to, before anything is run."""

from __future__ import annotations

import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sreclip.config import parse_params
from sreclip.data.class_list import listed_names, read_class_list
from sreclip.data.manifest import ClassEntry
from sreclip.data.task import TaskData
from sreclip.data.tasks.folder import FolderTask
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

    ``names`` are those that were given; ``list_path`` is the class list that holds the classes,
    None where the class folders say all.
    """

    root: Path
    source: str
    target: str
    names: Sequence[str]
    list_path: Path | None
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


def propose(source: Path, target: Path, names: Sequence[str], list_path: Path) -> Proposal:
    """Look at the folders; with ``names``, a class list is to be written to ``list_path``.

    Raises
    ------
    ConfigError
        The folders are one, or one lies in the other.
    DataError
        A folder is missing or empty, has no class folders, or names clash.
    """
    for folder in (source, target):
        if not folder.is_dir():
            raise DataError(
                f"{folder} is no folder", "give the folder of the source, then the target's"
            )
    real = [folder.resolve() for folder in (source, target)]
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
    every: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        if names:
            of_folders = [p.name for p in sorted(real[0].iterdir()) if p.is_dir()]
            every = list(dict.fromkeys([*(n for n in of_folders if n[0] != "."), *names]))
            listed_names(every, "names")
            draft = Path(scratch) / "classes.txt"
            draft.write_text("\n".join(every) + "\n", encoding="utf-8")
            settings["classes"] = str(draft)
        data = FolderTask().prepare(settings, Path(scratch))
    return Proposal(root, starts[0], starts[1], every, list_path if names else None, data)


def names_of(given: str | None) -> list[str]:
    """Return names that a user gave: a file of them, or names between commas."""
    if not given:
        return []
    if Path(given).is_file():
        return [item.entry.name for item in read_class_list(Path(given))]
    return [name.strip() for name in given.split(",") if name.strip()]
