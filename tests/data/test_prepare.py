"""From folders of files to the files of a task."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from sreclip.data import hashes as hashes_module
from sreclip.data.manifest import (
    ClassEntry,
    read_classes,
    read_manifest,
    read_summary,
    read_target_labels,
    row_id,
)
from sreclip.data.place import Place
from sreclip.data.prepare import image_rows, prepare_data
from sreclip.data.shards import read_shards, shard_key
from sreclip.data.task import Task, TaskData, TaskImage
from sreclip.errors import ConfigError, DataError

OUTPUTS = {
    "manifest.parquet",
    "classes.json",
    "target_labels.parquet",
    "shards.json",
    "summary.json",
}
TEN_MINUTES_NS = 600 * 10**9


def put(path: Path, content: bytes | None = None) -> None:
    """Write a file as if ten minutes ago, so that its time can be trusted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        str(path.relative_to(path.parents[2])).encode() if content is None else content
    )
    then = time.time_ns() - TEN_MINUTES_NS
    os.utime(path, ns=(then, then))


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "photos"
    for name in ("cat/1", "cat/2", "dog/1"):
        put(root / f"source/{name}.jpg")
    for name in ("cat/3", "zebra/1"):
        put(root / f"target/{name}.jpg")
    put(root / "target/loose.jpg", b"loose")
    return root


def run(root: Path, folder: Path, **options):
    settings = {"root": str(root), "source": "source", "target": "target", "classes": None}
    cache = folder.with_name(f".{folder.name}.hashes.parquet")
    more = {"shard_size": 2, "duplicates": "error", "hash_cache": cache, **options}
    return prepare_data("folder", settings, folder, **more)


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Names of the files that were read to be hashed."""
    names: list[str] = []
    read = hashes_module._read

    def spy(place: Place, *arguments: Any) -> Any:
        names.append(Path(place.path).name)
        return read(place, *arguments)

    monkeypatch.setattr(hashes_module, "_read", spy)
    return names


def test_what_is_written(root, tmp_path):
    folder = tmp_path / "out"
    summary = run(root, folder)
    assert {path.name for path in folder.iterdir()} == OUTPUTS
    rows = read_manifest(folder)
    assert rows["path"].tolist() == [
        "source/cat/1.jpg",
        "source/cat/2.jpg",
        "source/dog/1.jpg",
        "target/cat/3.jpg",
        "target/loose.jpg",
        "target/zebra/1.jpg",
    ]
    for _, row in rows.iterrows():
        data = (root / row["path"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert row["size"] == len(data)
        assert row["row_id"] == row_id(row["domain"], row["path"])
    assert rows["label"].tolist()[:3] == [0, 0, 1]
    assert [entry.name for entry in read_classes(folder)] == ["cat", "dog", "zebra"]
    for shard in read_shards(folder):
        assert shard.key == shard_key(rows.iloc[shard.start : shard.stop])
    assert read_summary(folder) == summary
    assert summary["images"] == {"source": 3, "target": 3}
    assert summary["source_images"] == {"cat": 2, "dog": 1, "zebra": 0}
    assert summary["target_labels"] == 2
    assert summary["bytes"] == rows["size"].sum()


def test_target_labels_are_for_evaluate_alone(root, tmp_path):
    run(root, tmp_path / "out")
    rows = read_manifest(tmp_path / "out")
    target = rows[rows["domain"] == "target"]
    assert target["label"].isna().all()
    assert read_target_labels(tmp_path / "out", target["row_id"]).tolist() == [0, -1, 2]
    # Nor do the counts tell: one image moved to another class leaves all but the key the same.
    summary = read_summary(tmp_path / "out")
    for name in ("2", "3"):
        put(root / f"target/zebra/{name}.jpg")
    put(root / "target/cat/4.jpg")
    run(root, tmp_path / "more_zebras")
    (root / "target/zebra/3.jpg").rename(root / "target/cat/5.jpg")
    run(root, tmp_path / "more_cats")
    zebras, cats = (read_summary(tmp_path / name) for name in ("more_zebras", "more_cats"))
    assert zebras.pop("target_labels_key") != cats.pop("target_labels_key")
    assert zebras == cats
    assert zebras["images"] != summary["images"]


def test_same_images_same_bytes(root, tmp_path):
    run(root, tmp_path / "one")
    for path in root.rglob("*.jpg"):
        os.utime(path, (7, 7))
    run(root, tmp_path / "two", hash_cache=tmp_path / "elsewhere.parquet")
    assert (tmp_path / "elsewhere.parquet").exists()
    for name in OUTPUTS:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_root_is_kept_as_it_was_given(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(Path("photos"), tmp_path / "out")["root"] == "photos"
    for name in OUTPUTS:
        assert str(tmp_path).encode() not in (tmp_path / "out" / name).read_bytes()
    assert run(root, tmp_path / "out")["root"] == str(root)


def test_unchanged_files_are_not_read_again(root, tmp_path, reads):
    run(root, tmp_path / "out")
    assert len(reads) == 6
    before = (tmp_path / "out/manifest.parquet").read_bytes()
    reads.clear()
    run(root, tmp_path / "out")
    assert reads == []
    assert (tmp_path / "out/manifest.parquet").read_bytes() == before


def test_what_changed_is_read_again(root, tmp_path, reads):
    run(root, tmp_path / "out")
    reads.clear()
    put(root / "source/cat/1.jpg", b"longer than it was before, by far")
    same_size = root / "source/cat/2.jpg"
    same_size.write_bytes(same_size.read_bytes()[::-1])
    put(root / "target/new.jpg", b"new")
    (root / "target/loose.jpg").unlink()
    run(root, tmp_path / "out")
    assert sorted(reads) == ["1.jpg", "2.jpg", "new.jpg"]
    rows = read_manifest(tmp_path / "out").set_index("path")
    digest = hashlib.sha256(same_size.read_bytes()).hexdigest()
    assert rows.loc["source/cat/2.jpg", "sha256"] == digest
    assert "target/loose.jpg" not in rows.index


def test_a_file_just_written_is_not_trusted(root, tmp_path, reads):
    fresh = root / "source/cat/1.jpg"
    fresh.write_bytes(b"first")
    now = time.time_ns()
    os.utime(fresh, ns=(now, now))
    run(root, tmp_path / "out")
    fresh.write_bytes(b"other")
    os.utime(fresh, ns=(now, now))
    reads.clear()
    run(root, tmp_path / "out")
    assert reads == ["1.jpg"]


def test_a_cache_of_another_root_or_a_damaged_one_is_not_used(root, tmp_path, reads):
    run(root, tmp_path / "out")
    cache = tmp_path / ".out.hashes.parquet"
    assert cache.exists()
    root.rename(tmp_path / "moved")
    reads.clear()
    run(tmp_path / "moved", tmp_path / "out")
    assert len(reads) == 6
    for data in (b"", b"damaged", cache.read_bytes()[:-20]):
        cache.write_bytes(data)
        reads.clear()
        run(tmp_path / "moved", tmp_path / "out")
        assert len(reads) == 6


def test_a_file_that_changes_while_it_is_read(root, tmp_path, monkeypatch):
    digest_of = hashes_module._digest
    image = root / "source/cat/1.jpg"

    def slow(descriptor: int, offset: int, size: int) -> str:
        digest = digest_of(descriptor, offset, size)
        if os.fstat(descriptor).st_ino == image.stat().st_ino:
            put(image, b"still being copied")
        return digest

    monkeypatch.setattr(hashes_module, "_digest", slow)
    with pytest.raises(DataError, match=r"cat/1\.jpg.*changed while"):
        run(root, tmp_path / "out")


@pytest.fixture
def doubled(root) -> Path:
    put(root / "target/again.jpg", (root / "source/dog/1.jpg").read_bytes())
    return root


def test_duplicates_across_domains_stop(doubled, tmp_path):
    run(doubled.parent / "photos", tmp_path / "out", duplicates="keep")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in OUTPUTS}
    with pytest.raises(DataError) as caught:
        run(doubled, tmp_path / "out")
    assert "1 in all" in caught.value.message
    assert "target/again.jpg = source/dog/1.jpg" in caught.value.message
    assert "drop_target" in caught.value.hint and "task.duplicates" in caught.value.hint
    assert {name: (tmp_path / "out" / name).read_bytes() for name in OUTPUTS} == before


def test_many_duplicates_are_summed_up(root, tmp_path):
    for i in range(9):
        put(root / f"target/again{i}.jpg", (root / "source/dog/1.jpg").read_bytes())
    with pytest.raises(DataError, match=r"9 in all: .* and 4 more"):
        run(root, tmp_path / "out")


def test_duplicates_dropped_from_the_target(doubled, tmp_path):
    summary = run(doubled, tmp_path / "out", duplicates="drop_target")
    assert summary["duplicates"]["dropped"] == ["target/again.jpg"]
    assert summary["images"] == {"source": 3, "target": 3}
    rows = read_manifest(tmp_path / "out")
    assert "target/again.jpg" not in rows["path"].tolist()
    assert "source/dog/1.jpg" in rows["path"].tolist()
    assert read_shards(tmp_path / "out")[-1].stop == len(rows)
    assert any("dropped" in note and note.endswith("1") for note in summary["notes"])


def test_duplicates_kept(doubled, tmp_path):
    summary = run(doubled, tmp_path / "out", duplicates="keep")
    assert summary["duplicates"]["across"] == 1
    assert summary["duplicates"]["dropped"] == []
    assert "target/again.jpg" in read_manifest(tmp_path / "out")["path"].tolist()
    assert "images kept in both domains: 1" in summary["notes"]


def test_duplicates_that_would_empty_the_target(root, tmp_path):
    for path in (root / "target").rglob("*.jpg"):
        put(path, (root / "source/dog/1.jpg").read_bytes())
    with pytest.raises(DataError, match="every target image"):
        run(root, tmp_path / "out", duplicates="drop_target")


def test_duplicates_within_a_domain_are_noted(root, tmp_path):
    put(root / "source/cat/copy.jpg", (root / "source/cat/1.jpg").read_bytes())
    put(root / "source/dog/copy.jpg", (root / "source/cat/1.jpg").read_bytes())
    put(root / "target/copy.jpg", b"loose")
    summary = run(root, tmp_path / "out")
    assert summary["duplicates"]["within"] == {"source": 2, "target": 1}
    assert summary["duplicates"]["source_with_two_labels"] == 1
    assert "source images that appear under two classes: 1" in summary["notes"]
    assert summary["images"] == {"source": 5, "target": 4}


def test_empty_files_stay_and_are_no_duplicates(root, tmp_path):
    for name in ("source/cat/e.jpg", "source/dog/e.jpg", "target/e.jpg"):
        put(root / name, b"")
    summary = run(root, tmp_path / "out")
    assert summary["empty_files"] == ["source/cat/e.jpg", "source/dog/e.jpg", "target/e.jpg"]
    assert summary["duplicates"]["within"] == {"source": 0, "target": 0}
    rows = read_manifest(tmp_path / "out").set_index("path")
    assert rows.loc["target/e.jpg", "size"] == 0


def test_unreadable_files_stay_and_are_tried_again(root, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        digest_of = hashes_module._digest
        bad = {path.stat().st_ino for path in root.rglob("1.jpg")}

        def denied(descriptor: int, offset: int, size: int) -> str:
            if os.fstat(descriptor).st_ino in bad:
                raise PermissionError(13, "Permission denied")
            return digest_of(descriptor, offset, size)

        patch.setattr(hashes_module, "_digest", denied)
        summary = run(root, tmp_path / "out")
    assert summary["unreadable_files"] == [
        "source/cat/1.jpg",
        "source/dog/1.jpg",
        "target/zebra/1.jpg",
    ]
    keys = {shard.key for shard in read_shards(tmp_path / "out")}
    assert run(root, tmp_path / "out")["unreadable_files"] == []
    assert {shard.key for shard in read_shards(tmp_path / "out")} != keys


def task_of(monkeypatch, data: TaskData) -> None:
    class Given(Task):
        def prepare(self, settings: Any, folder: Path) -> TaskData:
            return data

    monkeypatch.setattr("sreclip.data.prepare.load_task", lambda name: Given())


def image(path: str, domain: Any, label: int | None) -> TaskImage:
    return TaskImage(Place(path), domain, label)


def run_any(folder: Path) -> None:
    cache = folder / "hashes.parquet"
    prepare_data("any", {}, folder / "out", shard_size=9, duplicates="error", hash_cache=cache)


CLASSES = (ClassEntry("cat", ("cat",)),)


@pytest.mark.parametrize("path", ["../secret.jpg", "/etc/passwd", "s/out.jpg", "up/secret.jpg"])
def test_a_task_cannot_name_files_outside_its_root(tmp_path, monkeypatch, path):
    root = tmp_path / "root"
    put(root / "s/a.jpg", b"a")
    put(tmp_path / "secret.jpg", b"secret")
    (root / "s/out.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "up").symlink_to("..")
    images = [image("s/a.jpg", "source", 0), image(path, "target", None)]
    task_of(monkeypatch, TaskData(root, images, CLASSES))
    with pytest.raises(DataError, match="leaves the data root"):
        run_any(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_listed_file_that_is_gone(tmp_path, monkeypatch):
    task_of(monkeypatch, TaskData(tmp_path, [image("gone.jpg", "source", 0)], CLASSES))
    with pytest.raises(DataError, match=r"gone\.jpg.*cannot be found"):
        run_any(tmp_path)


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        ([image("a", "source", None)], "without a label"),
        ([image("a", "source", 1)], "not one of the 1 classes"),
        ([image("a", "target", -1)], "not one of the 1 classes"),
        ([image("a", "third", 0)], "domain"),
        ([image("a", "target", 0), image("a", "target", None)], "listed twice"),
    ],
)
def test_listings_that_are_refused(images, complaint):
    with pytest.raises(DataError, match=rf"^a: .*{complaint}"):
        image_rows(TaskData(Path("x"), images, CLASSES))


def test_rows_are_sorted_whatever_the_tasks_order():
    images = [image(path, domain, 0) for path in "bac" for domain in ("target", "source")]
    rows = image_rows(TaskData(Path("x"), images, CLASSES))
    assert list(zip(rows["domain"], rows["path"], strict=True)) == [
        (domain, path) for domain in ("source", "target") for path in "abc"
    ]


def test_unknown_task(tmp_path):
    with pytest.raises(ConfigError, match="'folder'"):
        prepare_data(
            "foldr", {}, tmp_path, shard_size=1, duplicates="keep", hash_cache=tmp_path / "cache"
        )


@pytest.mark.parametrize("at", ["write_shards", "write_task"])
def test_a_kill_leaves_the_old_files_or_no_manifest(root, tmp_path, monkeypatch, at):
    run(root, tmp_path / "out")
    put(root / "source/cat/new.jpg")

    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"sreclip.data.prepare.{at}", killed)
        with pytest.raises(KeyboardInterrupt):
            run(root, tmp_path / "out")
    assert not (tmp_path / "out/manifest.parquet").exists()
    run(root, tmp_path / "out")
    assert "source/cat/new.jpg" in read_manifest(tmp_path / "out")["path"].tolist()
    assert {path.name for path in (tmp_path / "out").iterdir()} == OUTPUTS
