"""The folder task: layouts that work, and a clear message for each that does not."""

import contextlib
import io
import os
import pickle
import re
import tarfile
from pathlib import Path

import pytest

from sreclip.data import walk as walk_module
from sreclip.data.manifest import ClassEntry, read_manifest
from sreclip.data.prepare import prepare_data
from sreclip.data.reading import ImageReader, stored_images
from sreclip.data.task import TaskData
from sreclip.data.tasks import TASKS, load_task
from sreclip.data.tasks.folder import FolderTask
from sreclip.errors import ConfigError, DataError


def make(root: Path, *paths: str) -> dict[str, str | None]:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return {"root": str(root), "source": "source", "target": "target", "classes": None}


def pack(path: Path, *names: str) -> None:
    with tarfile.open(path, "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))


def prepare(settings: dict) -> TaskData:
    return FolderTask().prepare(settings, Path("unused"))


def watched_folders(settings: dict) -> list[Path]:
    return FolderTask().first_look(settings, Path("unused")).inputs


def listed(settings: dict) -> set[tuple[str, str, str | None]]:
    data = prepare(settings)
    return {
        (p.place.path, p.domain, None if p.label is None else data.classes[p.label].name)
        for p in data.images
    }


def refused(settings: dict, *words: str) -> None:
    with pytest.raises(DataError) as caught:
        prepare(settings)
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint


def test_flat_nested_and_mixed_target(tmp_path):
    settings = make(
        tmp_path,
        "source/polar_bear/a.jpg",
        "source/polar_bear/2024/b.PNG",
        "source/cat/a.jpg",
        "target/loose.jpg",
        "target/cat/deep/er/c.webp",
        "target/zebra/d.jpg",
    )
    assert listed(settings) == {
        ("source/polar_bear/a.jpg", "source", "polar bear"),
        ("source/polar_bear/2024/b.PNG", "source", "polar bear"),
        ("source/cat/a.jpg", "source", "cat"),
        ("target/loose.jpg", "target", None),
        ("target/cat/deep/er/c.webp", "target", "cat"),
        ("target/zebra/d.jpg", "target", "zebra"),
    }
    data = prepare(settings)
    assert [entry.name for entry in data.classes] == ["cat", "polar bear", "zebra"]
    assert data.root == tmp_path
    assert any("zebra" in note for note in data.notes)


def test_natural_order_with_unknown_classes_behind(tmp_path):
    settings = make(
        tmp_path,
        *(f"source/c{i}/a.jpg" for i in (10, 9, 2)),
        *(f"target/c{i}/a.jpg" for i in (1, 2)),
    )
    names = [entry.name for entry in prepare(settings).classes]
    assert names == ["c2", "c9", "c10", "c1"]


def test_one_spelling_each_domain_is_one_class(tmp_path):
    settings = make(tmp_path, "source/polar_bear/a.jpg", "target/polar bear/b.jpg")
    assert {name for *_, name in listed(settings)} == {"polar bear"}


def test_other_folder_names_below_the_root(tmp_path):
    settings = make(tmp_path, "photos/2023/cat/a.jpg", "sketches/b.jpg")
    settings |= {"source": "photos/2023", "target": "./sketches/"}
    assert listed(settings) == {
        ("photos/2023/cat/a.jpg", "source", "cat"),
        ("sketches/b.jpg", "target", None),
    }


def test_ignored_files_are_counted_and_hidden_ones_are_not(tmp_path):
    settings = make(
        tmp_path,
        "source/cat/a.jpg",
        "source/cat/notes.TXT",
        "source/cat/.hidden.jpg",
        "source/.git/x.jpg",
        "target/a.jpg",
        "target/README",
    )
    os.mkfifo(tmp_path / "target/pipe.jpg")
    assert len(listed(settings)) == 2
    notes = " ".join(prepare(settings).notes)
    assert "source: files ignored because they are not images: 1 .txt" in notes
    assert "1 .jpg" in notes and "1 no suffix" in notes


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "# ours\ncat\npolar bear\n\nunicorn\n"),
        ("list.csv", "name,prompt_names,wnid,folder\ncat,,,\npolar bear,,,\nunicorn,,,\n"),
        ("list.json", '["cat", {"name": "polar_bear"}, "unicorn"]'),
        ("bom.txt", "\ufeffcat\r\npolar_bear\r\nunicorn"),
    ],
)
def test_class_lists_give_the_label_order(tmp_path, name, text):
    settings = make(tmp_path, "source/polar_bear/a.jpg", "source/cat/a.jpg", "target/a.jpg")
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    data = prepare(settings | {"classes": name})
    assert [entry.name for entry in data.classes] == ["cat", "polar bear", "unicorn"]
    assert [p.label for p in data.images] == [0, 1, None]
    assert any("unicorn" in note for note in data.notes)
    absolute = prepare(settings | {"classes": str(tmp_path / name)})
    assert absolute.classes == data.classes
    look = FolderTask().first_look(settings | {"classes": name}, Path("unused"))
    assert tmp_path / name in look.inputs


def test_class_list_with_everything(tmp_path):
    settings = make(tmp_path, "source/n02084071/a.jpg", "source/cat/a.jpg", "target/a.jpg")
    (tmp_path / "c.csv").write_text(
        'name,prompt_names,wnid,folder\ndog,"dog; puppy ;dog",n02084071,n02084071\ncat,,,\n'
    )
    (tmp_path / "c.json").write_text(
        '[{"name": "dog", "prompt_names": ["dog", "puppy"], "wnid": "n02084071",'
        ' "folder": "n02084071"}, {"name": "cat", "prompt_names": null}]'
    )
    expected = [ClassEntry("dog", ("dog", "puppy"), "n02084071"), ClassEntry("cat", ("cat",), None)]
    for name in ("c.csv", "c.json"):
        data = prepare(settings | {"classes": name})
        assert data.classes == expected
        assert {(p.place.path, p.label) for p in data.images if p.domain == "source"} == {
            ("source/n02084071/a.jpg", 0),
            ("source/cat/a.jpg", 1),
        }


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("c.txt", "cat\ndog\nCat\n", ["line 3", "'Cat'", "line 1"]),
        ("c.txt", "polar_bear\npolar bear\n", ["line 2", "line 1"]),
        ("c.txt", "\n\n", ["names no class"]),
        ("c.csv", "name,folder\ncat,x\ndog,x\n", ["line 3", "'x'", "line 2"]),
        ("c.csv", "name,promt_names\ncat,c\n", ["'promt_names'", "'prompt_names'"]),
        ("c.csv", "folder\ncat\n", ["no column 'name'"]),
        ("c.csv", "name\ncat,extra\n", ["line 2", "more values"]),
        ("c.csv", "name,wnid\ncat,2084071\n", ["line 2", "'2084071'"]),
        ("c.csv", "name,wnid\n ,n02084071\n", ["line 2", "without a name"]),
        ("c.csv", 'name\n"cat\n', ["c.csv"]),
        ("c.json", '{"name": "cat"}', ["not a list"]),
        ("c.json", "[1]", ["entry 1"]),
        ("c.json", '[{"name": 1}]', ["entry 1", "not text"]),
        ("c.json", '[{"name": "cat", "prompt_names": [1]}]', ["entry 1", "not text"]),
        ("c.json", '[{"nam": "cat"}]', ["entry 1", "'nam'", "'name'"]),
        ("c.json", "[", ["not valid JSON"]),
        ("gone.txt", None, ["gone.txt", "cannot be read"]),
    ],
)
def test_class_lists_that_are_refused(tmp_path, name, text, words):
    settings = make(tmp_path, "source/cat/a.jpg", "target/a.jpg")
    if text is not None:
        (tmp_path / name).write_text(text)
    refused(settings | {"classes": name}, *words)


def test_class_list_that_is_not_text(tmp_path):
    settings = make(tmp_path, "source/cat/a.jpg", "target/a.jpg")
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe\xfa")
    refused(settings | {"classes": "c.txt"}, "c.txt", "UTF-8")


@pytest.mark.parametrize("domain", ["source", "target"])
def test_a_folder_that_nobody_listed(tmp_path, domain):
    settings = make(tmp_path, "source/zebra/a.jpg", "target/a.jpg", f"{domain}/Zebras/a.jpg")
    (tmp_path / "c.txt").write_text("cat\nzebra\n")
    refused(settings | {"classes": "c.txt"}, domain, f"{domain}/Zebras", "c.txt", "'zebra'")


def test_what_is_missing(tmp_path):
    refused(make(tmp_path / "gone"), "gone", "missing")
    refused(make(tmp_path / "a", "target/a.jpg"), "source", "missing")
    refused(make(tmp_path / "b", "source/cat/a.jpg"), "target", "missing")
    settings = make(tmp_path / "c", "source/cat/a.txt", "target/a.jpg")
    refused(settings, "source", "no image at all", "1 .txt")
    settings = make(tmp_path / "d", "source/cat/a.jpg", "target/a.txt")
    refused(settings, "target", "no image at all", "1 .txt")


def test_source_images_outside_class_folders(tmp_path):
    refused(make(tmp_path, "source/a.jpg", "source/cat/a.jpg", "target/a.jpg"), "'source/a.jpg'")


@pytest.mark.parametrize("domain", ["source", "target"])
def test_empty_class_folder(tmp_path, domain):
    settings = make(tmp_path, "source/cat/a.jpg", "target/a.jpg", f"{domain}/dog/deep/readme.txt")
    refused(settings, f"'{domain}/dog'", "without an image")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("source/Dog", "source/dog"),
        ("source/Dog", "target/dog"),
        ("target/Dog", "target/dog"),
        ("source/polar_bear", "source/polar bear"),
        ("source/polar_bear", "target/Polar bear"),
    ],
)
def test_folders_that_differ_in_case_only(tmp_path, one, other):
    settings = make(tmp_path, f"{one}/a.jpg", f"{other}/b.jpg", "source/x/a.jpg", "target/a.jpg")
    refused(settings, f"'{one}'", f"'{other}'")


@pytest.mark.parametrize(
    ("source", "target"), [("source", "source"), ("source", "source/cat"), (".", "target")]
)
def test_domains_that_overlap(tmp_path, source, target):
    settings = make(tmp_path, "source/cat/a.jpg", "target/a.jpg")
    refused(settings | {"source": source, "target": target}, "overlap")


@pytest.mark.parametrize("name", ["../outside", "/"])
def test_domains_outside_the_root(tmp_path, name):
    settings = make(tmp_path / "root", "source/cat/a.jpg", "target/a.jpg")
    (tmp_path / "outside").mkdir()
    refused(settings | {"target": name}, "leaves the data root")


@pytest.fixture
def linked(tmp_path):
    settings = make(tmp_path / "root", "source/cat/a.jpg", "target/a.jpg", "store/dog/b.jpg")
    make(tmp_path / "outside", "x.jpg", "more/y.jpg")
    return settings, tmp_path / "root", tmp_path / "outside"


def test_links_inside_the_root_are_followed(linked):
    settings, root, _ = linked
    (root / "source/dog").symlink_to("../store/dog")
    (root / "target/b.jpg").symlink_to("../store/dog/b.jpg")
    assert {path for path, *_ in listed(settings)} == {
        "source/cat/a.jpg",
        "source/dog/b.jpg",
        "target/a.jpg",
        "target/b.jpg",
    }
    assert root / "source/dog" in watched_folders(settings)


@pytest.mark.parametrize(
    ("link", "leads_to", "words"),
    [
        ("target/b.jpg", "outside/x.jpg", "out of the data root"),
        ("target/more", "outside/more", "out of the data root"),
        ("source/cat/up", "root/source", "back to a folder above"),
        ("source/cat/b.jpg", "root/gone.jpg", "leads nowhere"),
    ],
)
def test_links_that_lead_astray(linked, tmp_path, link, leads_to, words):
    settings, root, _ = linked
    (root / link).symlink_to(tmp_path / leads_to)
    refused(settings, link, words)


def test_a_domain_may_be_a_link_inside_the_root(linked):
    settings, root, _ = linked
    (root / "photos").symlink_to("store")
    make(root, "elsewhere/c.jpg")
    (root / "store/owl").symlink_to("../elsewhere")
    assert listed(settings | {"source": "photos"}) == {
        ("photos/dog/b.jpg", "source", "dog"),
        ("photos/owl/c.jpg", "source", "owl"),
        ("target/a.jpg", "target", None),
    }


def test_links_out_of_the_root_are_followed_where_a_setting_allows_it(linked, tmp_path):
    settings, root, outside = linked
    settings |= {"outside_links": True}
    make(outside, "photos/owl/1.jpg")
    (root / "source/more").symlink_to(outside / "more")
    (root / "target/x.jpg").symlink_to(outside / "x.jpg")
    pack(outside / "fox.tar", "2.jpg")
    (root / "source/fox").mkdir()
    (root / "source/fox/fox.tar").symlink_to(outside / "fox.tar")
    expected = {"source/cat/a.jpg", "source/more/y.jpg", "target/a.jpg", "target/x.jpg"}
    data = prepare(settings)
    assert {image.place.name for image in data.images} == expected | {"source/fox/fox.tar/2.jpg"}
    assert root / "source/more" in watched_folders(settings)
    more = {"shard_size": 9, "duplicates": "error", "hash_cache": tmp_path / "hashes.parquet"}
    prepare_data("folder", settings, tmp_path / "task", **more)
    assert FolderTask().is_as_prepared(settings, tmp_path / "task")
    stored = stored_images(read_manifest(tmp_path / "task"))
    with contextlib.closing(ImageReader(root, outside_links=True)) as reader:
        sent = pickle.loads(pickle.dumps(reader))  # noqa: S301 - as a decoding process gets it
        read = {image.place.name: sent.read(image) for image in stored}
    assert read["target/x.jpg"] == b"x.jpg" and read["source/more/y.jpg"] == b"more/y.jpg"
    assert read["source/fox/fox.tar/2.jpg"] == b"2.jpg"
    assert len(read) == 5
    with contextlib.closing(ImageReader(root)) as reader:
        for image in stored:
            if image.place.path in ("target/x.jpg", "source/more/y.jpg", "source/fox/fox.tar"):
                with pytest.raises(DataError, match="leaves the data root"):
                    reader.read(image)
    (root / "away").symlink_to(outside / "photos")
    found = listed(settings | {"source": "away"})
    assert ("away/owl/1.jpg", "source", "owl") in found


@pytest.mark.parametrize(
    ("link", "leads_to", "words"),
    [
        ("source/cat/up", ".", "back to a folder above"),
        ("source/cat/up", "/", "back to a folder above"),
        ("source/cat/b.jpg", "root/gone.jpg", "leads nowhere"),
        ("source/cat/more", "outside/more", "back to a folder above"),
    ],
)
def test_links_that_lead_astray_where_links_out_are_allowed(
    linked, tmp_path, link, leads_to, words
):
    settings, root, outside = linked
    (root / link).symlink_to(tmp_path / leads_to)
    (outside / "more/round").symlink_to(outside)
    refused(settings | {"outside_links": True}, words)


def test_domains_that_are_one_folder_outside(linked):
    settings, root, outside = linked
    (root / "one").symlink_to(outside)
    (root / "two").symlink_to(outside / "more")
    refused(settings | {"outside_links": True, "source": "one", "target": "two"}, "overlap")
    refused(settings | {"outside_links": True, "target": "../outside"}, "leaves the data root")


def test_a_domain_that_is_a_link_out(linked):
    settings, root, outside = linked
    (root / "away").symlink_to(outside)
    refused(settings | {"target": "away"}, "leaves the data root")


def test_two_links_in_a_circle_end(linked):
    settings, root, _ = linked
    (root / "source/cat/x").symlink_to(root / "store/dog")
    (root / "store/dog/y").symlink_to(root / "source/cat")
    refused(settings, "back to a folder above")


def test_names_that_are_not_utf8(tmp_path):
    settings = make(tmp_path, "source/cat/a.jpg", "target/a.jpg", "target/Käse.jpg")
    assert ("target/Käse.jpg", "target", None) in listed(settings)
    Path(os.fsdecode(os.fsencode(tmp_path / "target") + b"/\xff.jpg")).touch()
    refused(settings, "target/", "not UTF-8")


SYSTEM_FOLDERS = [
    *("@eaDir", "__MACOSX", "lost+found", "#recycle", ".thumbnails", "$RECYCLE.BIN", "@Recycle"),
    *("System Volume Information", ".AppleDouble", "@eadir", "#snapshot", "LOST.DIR"),
]


@pytest.mark.parametrize("name", SYSTEM_FOLDERS)
@pytest.mark.parametrize("place", ["source", "source/cat", "source/cat/2024", "target"])
def test_folders_of_systems_and_programs_hold_no_images(tmp_path, name, place):
    settings = make(tmp_path, "source/cat/2024/a.jpg", "target/a.jpg", f"{place}/{name}/x/t.jpg")
    data = prepare(settings)
    assert {image.place.path for image in data.images} == {"source/cat/2024/a.jpg", "target/a.jpg"}
    assert [entry.name for entry in data.classes] == ["cat"]
    assert f"1 {name}" in " ".join(data.notes)
    assert FolderTask().first_look(settings, Path("unused")).classes == {"cat": 1}
    assert not any(name in path.parts for path in watched_folders(settings))


def test_the_documented_system_folders_are_those_that_are_skipped():
    page = (Path(__file__).parents[2] / "docs/data.md").read_text()
    lines = page.partition("folders that systems and programs make")[2].partition("Links to")[0]
    documented = {
        name
        for line in lines.splitlines()[1:]
        for name in re.split(r"\s{2,}", line.strip())
        if name
    }
    assert {name.casefold() for name in documented} == walk_module.SYSTEM_FOLDERS


def test_hidden_images_are_counted(tmp_path):
    settings = make(tmp_path, "source/cat/a.jpg", "source/cat/._a.jpg", "target/a.jpg", "target/.x")
    data = prepare(settings)
    assert len(data.images) == 2
    assert [note for note in data.notes if "skipped" in note] == [
        "source: skipped as hidden, or made by a system or program: 1 hidden images"
    ]


def test_a_system_folder_is_neither_opened_nor_followed(tmp_path, monkeypatch):
    settings = make(tmp_path, "source/cat/a.jpg", "target/a.jpg", "source/lost+found/x.jpg")
    (tmp_path / "target/@eaDir").symlink_to("/")
    scandir = os.scandir

    def denied(path: Path):
        if Path(path).name in ("lost+found", "@eaDir"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("sreclip.data.walk.os.scandir", denied)
    assert {path for path, *_ in listed(settings)} == {"source/cat/a.jpg", "target/a.jpg"}
    assert watched_folders(settings)


def test_an_image_may_be_named_like_a_system_folder(tmp_path):
    settings = make(tmp_path, "source/cat/found.000", "source/cat/a.jpg", "target/a.jpg")
    assert "1 .000" in " ".join(prepare(settings).notes)


def test_nothing_but_thumbnails_is_no_image(tmp_path):
    settings = make(tmp_path, "source/cat/a.jpg", "target/@eaDir/a.jpg")
    refused(settings, "target", "no image at all", "1 @eaDir")


def test_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    settings = make(tmp_path, "source/cat/a.jpg", "target/a.jpg")

    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sreclip.data.walk.os.scandir", denied)
    refused(settings, "cannot be read", "Permission denied")


def test_image_folders_are_those_whose_time_tells(tmp_path):
    settings = make(
        tmp_path, "source/cat/2024/a.jpg", "source/.cache/a.jpg", "target/a.jpg", "other/a.jpg"
    )
    folders = watched_folders(settings)
    assert folders == [
        tmp_path / name for name in ("source", "source/cat", "source/cat/2024", "target")
    ]
    for folder in folders:
        os.utime(folder, (1, 1))
    (tmp_path / "source/cat/2024/b.jpg").touch()
    assert [folder for folder in folders if folder.stat().st_mtime > 1] == [
        tmp_path / "source/cat/2024"
    ]


@pytest.mark.parametrize("link_count", [None, 1, 2])
def test_image_folders_are_all_found_whatever_link_counts_say(tmp_path, monkeypatch, link_count):
    settings = make(
        tmp_path, "source/a/b/c/d/1.jpg", "source/a/b/2.jpg", "source/e/3.jpg", "target/f/g/4.jpg"
    )
    real_stat = Path.stat

    class Status:
        def __init__(self, path: Path) -> None:
            status = real_stat(path)
            self.st_dev, self.st_mode = status.st_dev, status.st_mode
            self.st_nlink = status.st_nlink if link_count is None else link_count

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", lambda path, **_: Status(path))
        folders = watched_folders(settings)
    expected = {path for path in tmp_path.rglob("*") if path.is_dir()}
    assert set(folders) == expected and len(folders) == 9


def test_two_runs_are_equal(tmp_path):
    settings = make(tmp_path, *(f"source/c{i % 7}/{i}.jpg" for i in range(60)), "target/a.jpg")
    assert prepare(settings) == prepare(settings)


def test_registry():
    assert isinstance(load_task("folder"), FolderTask)
    assert set(TASKS) >= {"folder", "openmoji"}
    with pytest.raises(ConfigError, match="did you mean 'folder'"):
        load_task("folders")
