"""A task that writes nothing but `prepare` has all that the pipeline asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sreclip.data.benchmarks import BENCHMARKS
from sreclip.data.manifest import ClassEntry
from sreclip.data.place import Place
from sreclip.data.prepare import prepare_data
from sreclip.data.task import FirstLook, Task, TaskData, TaskImage
from sreclip.data.tasks import TASKS, load_task


class Plain(Task):
    """One source class and a target without labels."""

    def prepare(self, settings: Mapping[str, Any], folder: Path) -> TaskData:
        root = Path(settings["root"])
        images = [
            TaskImage(Place(path.relative_to(root).as_posix()), domain, label)
            for domain, label in (("source", 0), ("target", None))
            for path in sorted((root / domain).iterdir())
        ]
        names = settings.get("names", ("cat", "dog"))
        return TaskData(root, images, [ClassEntry(name, (name,)) for name in names])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("source/a.jpg", "source/b.jpg", "target/c.jpg"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(name.encode())
    return tmp_path / "data"


def test_prepare_is_enough(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sreclip.data.prepare.load_task", lambda name: Plain())
    settings, folder, cache = {"root": str(root)}, tmp_path / "task", tmp_path / "hashes.parquet"
    task = Plain()
    assert task.first_look(settings, folder) == FirstLook([], None)
    summary = prepare_data(
        "plain", settings, folder, shard_size=4, duplicates="error", hash_cache=cache
    )
    assert summary["images"] == {"source": 2, "target": 1}
    assert task.is_as_prepared(settings, folder)
    assert not task.is_as_prepared({**settings, "names": ("cat", "cow")}, folder)
    (root / "target/c.jpg").write_bytes(b"other size")
    assert not task.is_as_prepared(settings, folder)
    (root / "target/c.jpg").unlink()
    assert not task.is_as_prepared(settings, folder)


@pytest.mark.parametrize("name", TASKS)
def test_every_registered_name_is_a_task(name: str) -> None:
    assert isinstance(load_task(name), Task)


def test_benchmarks_are_told_by_their_class() -> None:
    assert set(BENCHMARKS) == set(TASKS) - {"folder", "openmoji", "ready_features"}
