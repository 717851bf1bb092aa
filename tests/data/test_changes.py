"""What came or went since a task was prepared, whatever the dates say."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sreclip.data.changes import is_outdated, note_of_dates, write_seen
from sreclip.data.prepare import prepare_data
from sreclip.data.tasks.folder import FolderTask

YEAR_S = 365 * 24 * 3600
IMAGES = ("source/cat/a.jpg", "source/dog/b.jpg", "target/c.jpg")


def date(path: Path, years: float) -> None:
    when = time.time() + years * YEAR_S
    os.utime(path, (when, when))


class Prepared:
    """A task of three images, prepared in a folder of its own."""

    def __init__(self, place: Path) -> None:
        self.root, self.folder, self.seen = place / "data", place / "task", place / "seen.json"
        for name in IMAGES:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(name)
        (self.root / "classes.txt").write_text("cat\ndog\n")
        names = {"source": "source", "target": "target", "classes": "classes.txt"}
        self.settings: dict[str, Any] = {"root": str(self.root), **names}

    @property
    def look(self) -> Any:
        return FolderTask().first_look(self.settings, self.folder)

    def prepare(self) -> None:
        look = self.look
        cache = self.folder.with_name("hashes.parquet")
        options: dict[str, Any] = {"shard_size": 4, "duplicates": "error", "hash_cache": cache}
        prepare_data("folder", self.settings, self.folder, **options)
        write_seen(self.seen, look, self.folder)

    def is_outdated(self) -> bool:
        return is_outdated(FolderTask(), self.settings, self.folder, self.look, self.seen)


@pytest.fixture
def task(tmp_path: Path) -> Prepared:
    return Prepared(tmp_path)


def test_a_task_that_is_not_prepared_is_not_outdated(task: Prepared) -> None:
    assert not task.is_outdated()


@pytest.mark.parametrize("years", [1, 0, -10], ids=["ahead", "now", "back"])
@pytest.mark.parametrize(
    ("change", "folder"),
    [
        (lambda root: (root / "target/new.jpg").write_text("new"), "target"),
        (lambda root: (root / "target/c.jpg").rename(root / "target/d.jpg"), "target"),
        (lambda root: (root / "target/c.jpg").write_text("other pixels"), "target"),
        (lambda root: (root / "classes.txt").write_text("dog\ncat\n"), "classes.txt"),
    ],
    ids=["comes", "another name", "rewritten", "class list"],
)
def test_a_change_is_seen_under_any_date(
    task: Prepared, years: float, change: Callable[[Path], object], folder: str
) -> None:
    """A copy with its dates may leave a folder older than the manifest."""
    for path in task.root.rglob("*"):
        date(path, years)
    task.prepare()
    assert not task.is_outdated()
    change(task.root)
    date(task.root / folder, years - 0.5)
    assert task.is_outdated()
    task.prepare()
    assert not task.is_outdated()


def test_a_pulled_task_is_known_by_names_and_sizes(task: Prepared) -> None:
    task.prepare()
    task.seen.unlink()
    date(task.root / "target", 1)
    assert not task.is_outdated()

    def changed(path: str, text: str | None) -> bool:
        """Tell whether another text, or none, is noticed; put it back."""
        place = task.root / path
        before = place.read_text() if place.exists() else None
        place.unlink(missing_ok=True)
        if text is not None:
            place.write_text(text)
        noticed = task.is_outdated()
        place.unlink(missing_ok=True)
        if before is not None:
            place.write_text(before)
        assert not task.is_outdated()
        return noticed

    assert changed("target/new.jpg", "new")
    assert changed("source/cat/a.jpg", None)
    assert changed("source/cat/a.jpg", "another size")
    assert not changed("source/cat/a.jpg", "SOURCE/CAT/A.JPG")
    assert changed("classes.txt", "dog\ncat\n")


def test_an_earlier_manifest_is_held_against_the_images(task: Prepared) -> None:
    """As ``dvc checkout`` leaves it: the folders are as they were seen, the manifest is not."""
    task.prepare()
    shutil.copytree(task.folder, task.folder.with_name("earlier"))
    (task.root / "target/new.jpg").write_text("new")
    task.prepare()
    shutil.rmtree(task.folder)
    task.folder.with_name("earlier").rename(task.folder)
    assert task.is_outdated()


@pytest.mark.parametrize("damaged", ["seen.json", "task/summary.json"])
def test_a_damaged_file_is_no_reason_to_stop(task: Prepared, damaged: str) -> None:
    task.prepare()
    date(task.root / "target", 1)
    (task.folder.parent / damaged).write_text("{")
    assert task.is_outdated() == (damaged != "seen.json")


def test_what_is_dated_in_the_future_is_named(task: Prepared) -> None:
    assert note_of_dates(task.look) == ""
    date(task.root / "target", 0.1)
    date(task.root / "source/dog", 3)
    assert note_of_dates(task.look).endswith(f": {task.root}/source/dog, {task.root}/target")
