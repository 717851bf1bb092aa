"""Benchmarks: every layout that is about, and a clear word for each tree that is not whole."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import typer.testing

import sreclip.cli.data  # noqa: F401 - adds its command to the app
from sreclip.cli import app
from sreclip.config import load_params, parse_params
from sreclip.data.benchmarks import BENCHMARKS, describe
from sreclip.data.benchmarks.classes import BenchmarkClass, read_benchmark_classes
from sreclip.data.benchmarks.spec import benchmark_of
from sreclip.data.benchmarks.survey import Survey, survey
from sreclip.data.manifest import read_target_labels
from sreclip.data.prepare import prepare_data
from sreclip.data.task import TaskData
from sreclip.data.tasks import load_task
from sreclip.errors import ConfigError, DataError, SreclipError
from sreclip.graph.construct import build_relation_graph
from sreclip.graph.wordnet import WordNet
from sreclip.plan.split import known_mask

TASK = load_task("i2awa")
I2AWA = read_benchmark_classes("i2awa")
I2WEBV = read_benchmark_classes("i2webv")
CONFIGS = Path(__file__).parents[2] / "config"
FACTS = Path(__file__).parents[1] / "graph" / "i2awa_reference.json"


def put(root: Path, paths: Iterable[str]) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())


def pack(path: Path, names: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))


def settings_of(task: str, root: Path, **more: Any) -> dict[str, Any]:
    """Settings as the parameters give them, defaults and all."""
    values = {"task": {"name": task, task: {"root": str(root), **more}}}
    return parse_params(values).task.settings


def look(task: str, root: Path, **more: Any) -> Survey:
    settings = settings_of(task, root, **more)
    return survey(benchmark_of(task, settings), settings)


def prepared(task: str, root: Path, **more: Any) -> TaskData:
    return load_task(task).prepare(settings_of(task, root, **more), Path("unused"))


def run_preparation(root: Path) -> dict[str, Any]:
    """Prepare I2AwA below ``root`` in its folder ``task``."""
    return prepare_data(
        "i2awa",
        settings_of("i2awa", root),
        root / "task",
        shard_size=64,
        duplicates="keep",
        hash_cache=root / "hashes.parquet",
    )


def labelled(data: TaskData) -> set[tuple[str, str, str]]:
    return {
        (
            image.place.name,
            image.domain,
            data.classes[image.label or 0].name,
        )
        for image in data.images
    }


def source_folder(item: BenchmarkClass) -> str:
    return f"{item.folder}-{item.entry.wnid}"


def i2awa_names(per_class: int | None = 1) -> tuple[list[str], list[str]]:
    """Images below 3D2 and JPEGImages; by class as many as published, or ``per_class``."""
    source = [
        f"{source_folder(item)}/{number}.jpg"
        for item in I2AWA
        for number in range(per_class or item.source or 0)
        if item.known
    ]
    target = [
        f"{item.folder}/{item.folder}_{10001 + number}.jpg"
        for item in I2AWA
        for number in range(per_class or item.target or 0)
    ]
    return source, target


@pytest.fixture
def i2awa(tmp_path: Path) -> Path:
    """One image of each class and domain, in the usual folders."""
    source, target = i2awa_names()
    root = tmp_path / "i2awa"
    put(root, (f"3D2/{name}" for name in source))
    put(root, (f"Animals_with_Attributes2/JPEGImages/{name}" for name in target))
    return root


def write_list(path: Path, lines: Iterable[tuple[str, int]]) -> None:
    path.write_text("".join(f"{name} {number}\n" for name, number in lines))


# What the tables say


def test_class_tables_are_those_of_the_published_graph_and_lists():
    facts = json.loads(FACTS.read_text())
    assert [item.entry.wnid for item in I2AWA] == facts["class_wnids"]
    assert [item.known for item in I2AWA] == facts["known"]
    assert sum(item.source or 0 for item in I2AWA) == 2_970
    assert sum(item.target or 0 for item in I2AWA if item.known) == 29_409
    assert sum(item.target or 0 for item in I2AWA if not item.known) == 7_913
    assert sum(item.known for item in I2WEBV) == 1_000 and len(I2WEBV) == 5_000


@pytest.mark.parametrize("name", BENCHMARKS)
def test_class_tables_are_sound(name):
    classes = read_benchmark_classes(name)
    wordnet = WordNet.bundled()
    names = [item.entry.name.casefold() for item in classes]
    wnids = [item.entry.wnid for item in classes if item.entry.wnid]
    assert len(set(names)) == len(names)
    assert len(set(wnids)) == len(wnids) and all(wnid in wordnet for wnid in wnids)
    assert len({item.folder for item in classes}) == len(classes)
    assert any(item.known for item in classes) and not all(item.known for item in classes)


def test_sizes_of_the_other_sets():
    sizes = {
        name: (len(classes), sum(not item.known for item in classes))
        for name in ("pacs", "office_home", "domainnet")
        for classes in [read_benchmark_classes(name)]
    }
    assert sizes == {"pacs": (7, 1), "office_home": (65, 40), "domainnet": (345, 45)}
    mini = [item for item in read_benchmark_classes("domainnet") if item.mini]
    assert (len(mini), sum(not item.known for item in mini)) == (126, 13)


def test_domains_in_the_settings_are_those_of_the_sets():
    for name in ("pacs", "office_home", "domainnet"):
        domains = list(describe(name)["domains"])
        for source, target in zip(domains, domains[1:] + domains[:1], strict=True):
            settings_of(name, Path("x"), source=source, target=target)
        with pytest.raises(ConfigError, match="source"):
            settings_of(name, Path("x"), source="moon")
    told = describe("domainnet")
    for domain in told["domains"].keys() - told["mini"]["domains"]:
        with pytest.raises(ConfigError, match="mini"):
            settings_of("domainnet", Path("x"), source=domain, target="real", mini=True)


# I2AwA


def test_i2awa_whole_and_as_published(tmp_path):
    source, target = i2awa_names(per_class=None)
    put(tmp_path, (f"3D2/{name}" for name in source))
    pack(tmp_path / "AwA2.tar", (f"Animals_with_Attributes2/JPEGImages/{name}" for name in target))
    found = look("i2awa", tmp_path)
    assert not list(found.differences())
    assert all(not here.problems and not here.notes for here in found.found.values())
    assert {domain: here.n_images for domain, here in found.found.items()} == {
        "source": 2_970,
        "target": 37_322,
    }
    (tmp_path / "3D2" / source[0]).unlink()
    assert list(look("i2awa", tmp_path).differences()) == [("source", "killer whale", 201, 202)]


@pytest.mark.parametrize(
    "place", ["Animals_with_Attributes2/JPEGImages", "AwA2/JPEGImages", "JPEGImages", "AwA2"]
)
def test_i2awa_in_the_usual_folders(tmp_path, place):
    source, target = i2awa_names()
    put(tmp_path, (f"3D2/{name}" for name in source))
    put(tmp_path, (f"{place}/{name}" for name in target))
    data = prepared("i2awa", tmp_path)
    assert [entry.wnid for entry in data.classes] == [item.entry.wnid for item in I2AWA]
    assert labelled(data) == {
        (f"3D2/{source_folder(item)}/0.jpg", "source", item.entry.name)
        for item in I2AWA
        if item.known
    } | {
        (f"{place}/{item.folder}/{item.folder}_10001.jpg", "target", item.entry.name)
        for item in I2AWA
    }
    (note,) = data.notes
    assert "source, killer whale: 1 images instead of 202, and 89 more" in note


def test_i2awa_as_archives_alone(tmp_path):
    source, target = i2awa_names()
    pack(tmp_path / "3D2.tar", source)
    pack(tmp_path / "AwA2.tar", (f"./JPEGImages/{name}" for name in target))
    data = prepared("i2awa", tmp_path)
    assert len(data.images) == 90 and set(data.archives) == {"3D2.tar", "AwA2.tar"}
    path, member, offset, size = data.images[0].place
    assert member is not None and offset is not None and size is not None
    assert (tmp_path / path).read_bytes()[offset : offset + size].decode() == member


def test_i2awa_by_the_published_lists(i2awa):
    """The lists have other roots than the images, and an order of their own."""
    source, target = i2awa_names()
    numbers = {item.folder: label for label, item in enumerate(I2AWA)}
    by_source_folder = {source_folder(item): label for label, item in enumerate(I2AWA)}
    write_list(
        i2awa / "WEB_3D3_2.txt",
        (
            (f"/media/someone/SSD/3D/3D2/{name}", by_source_folder[name.split("/")[0]])
            for name in reversed(source)
        ),
    )
    write_list(
        i2awa / "new_AwA2.txt",
        ((f"/media/AWA2/data/AwA2/{name}", numbers[name.split("/")[0]]) for name in target),
    )
    put(i2awa, ["3D2/beaver-n02363005/not-in-the-list.jpg"])
    lists = {"source_list": ["WEB_3D3_2.txt"], "target_list": [str(i2awa / "new_AwA2.txt")]}
    data = prepared("i2awa", i2awa, **lists)
    without = prepared("i2awa", i2awa)
    extra = ("3D2/beaver-n02363005/not-in-the-list.jpg", "source", "beaver")
    assert labelled(data) == labelled(without) - {extra}
    notes = " ".join(data.notes)
    assert "/media/someone/SSD/3D/ of the list is . here" in notes
    assert (
        "/media/AWA2/data/AwA2/ of the list is Animals_with_Attributes2/JPEGImages/ here" in notes
    )
    assert "no list names, left out: 1" in notes


def test_known_and_unknown_follow_from_the_source(i2awa):
    summary = run_preparation(i2awa)
    params = parse_params({})
    names = list(summary["source_images"])
    mask = known_mask(names, list(summary["source_images"].values()), params.split)
    assert mask.tolist() == [item.known for item in I2AWA]
    look_first = TASK.first_look(settings_of("i2awa", i2awa), i2awa / "task")
    assert look_first.classes == {item.entry.name: int(item.known) for item in I2AWA}
    assert i2awa / "3D2/beaver-n02363005" in look_first.inputs
    assert summary["target_labels"] == 50
    graph = build_relation_graph([item.entry.wnid or "" for item in I2AWA], include_imagenet=True)
    assert (graph.n_nodes, len(graph.edges)) == (255, 257)


def test_archives_are_watched_wherever_they_lie(i2awa):
    pack(i2awa / "3D2/beaver-n02363005/more.tar", ["1.jpg"])
    settings, folder = settings_of("i2awa", i2awa), i2awa / "task"
    archive = i2awa / "3D2/beaver-n02363005/more.tar"
    assert archive in TASK.first_look(settings, folder).inputs
    run_preparation(i2awa)
    look_again = TASK.first_look(settings, folder)
    assert archive in look_again.inputs, "as the manifest has it"


def test_target_labels_go_to_their_own_file(i2awa):
    folder = i2awa / "task"
    run_preparation(i2awa)
    from sreclip.data.manifest import read_manifest

    rows = read_manifest(folder)
    target = rows[rows["domain"] == "target"]
    assert target["label"].isna().all()
    labels = read_target_labels(folder, target["row_id"].to_numpy())
    folders = target["path"].str.split("/").str[2]
    assert [I2AWA[label].folder for label in labels] == folders.tolist()


def test_a_pulled_benchmark_is_known_by_names_and_sizes(i2awa):
    run_preparation(i2awa)
    asked = (settings_of("i2awa", i2awa), i2awa / "task")
    assert TASK.is_as_prepared(*asked)
    image = i2awa / "3D2/beaver-n02363005/0.jpg"
    image.write_bytes(b"other size")
    assert not TASK.is_as_prepared(*asked)


# I2AwA: what is wrong with a tree


def problems(found: Survey, domain: str) -> str:
    return "\n".join(
        f"{problem.what}: {'; '.join(problem.items)} -> {problem.hint}"
        for problem in found.found[domain].problems  # type: ignore[index]
    )


def change_half(root: Path) -> None:
    for item in I2AWA[20:40]:
        shutil.rmtree(root / "3D2" / source_folder(item))


def change_extra(root: Path) -> None:
    put(root, ["3D2/unicorn-n09484664/a.jpg", "3D2/horse-n02374451/b.jpg"])


def change_wnid(root: Path) -> None:
    (root / "3D2/beaver-n02363005").rename(root / "3D2/beaver-n02363006")


def change_case(root: Path) -> None:
    (root / "3D2/beaver-n02363005").rename(root / "3D2/Beaver-n02363005")


def change_twice(root: Path) -> None:
    put(root, ["3D2/old/beaver-n02363005/a.jpg"])


def change_loose(root: Path) -> None:
    put(root, ["3D2/a.jpg"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_half, ["20 of 40 classes have no image", "pig (pig-n02395406)", "moose"]),
        (
            change_extra,
            ["folders that are no class: 2;", "'3D2/unicorn-n09484664'", "horse-n02374451"],
        ),
        (
            change_wnid,
            ["'3D2/beaver-n02363006' (did you mean 'beaver-n02363005'?)", "1 of 40 classes"],
        ),
        (change_case, ["'3D2/Beaver-n02363005' (the class folder is written 'beaver-n02363005')"]),
        (change_twice, ["classes with more than one folder: 1", "3D2/old/beaver-n02363005"]),
        (change_loose, ["folders that are no class: 1; images in them: 1", "'3D2'"]),
    ],
)
def test_a_tree_that_is_not_whole(i2awa, change: Callable[[Path], None], words):
    change(i2awa)
    told = problems(look("i2awa", i2awa), "source")
    for word in words:
        assert word in told
    with pytest.raises(DataError) as caught:
        prepared("i2awa", i2awa)
    assert "does not hold I2AwA as it was published" in caught.value.message
    assert "sreclip data check i2awa" in caught.value.hint


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([("beaver/beaver_10001.jpg", 1)], ["49 of 50 classes have no image"]),
        ([("beaver/beaver_10001.jpg", 2)], ["disagrees with the folder", "line 1", "beaver"]),
        ([("beaver/beaver_10001.jpg", 50)], ["class number that is too large", "line 1"]),
        ([("beaver/beaver_1.jpg", 1)], ["name no image that is here", "beaver/beaver_1.jpg"]),
        (
            [("beaver/beaver_10001.jpg", 1), ("/x/beaver/beaver_10001.jpg", 1)],
            ["name an image again", "line 2", "line 1"],
        ),
    ],
)
def test_lists_that_are_wrong(i2awa, lines, words):
    write_list(i2awa / "list.txt", lines)
    told = problems(look("i2awa", i2awa, target_list=["list.txt"]), "target")
    for word in words:
        assert word in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("beaver/a.jpg\n", ["line 1", "not a path and a class number"]),
        ("\nbeaver/a.jpg one\n", ["line 2"]),
        (None, ["list.txt", "cannot be read"]),
    ],
)
def test_lists_that_are_none(i2awa, text, words):
    if text is not None:
        (i2awa / "list.txt").write_text(text)
    with pytest.raises(DataError) as caught:
        look("i2awa", i2awa, target_list=["list.txt"])
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint


def test_a_source_list_with_an_unknown_class(i2awa):
    put(i2awa, ["3D2/horse-n02374451/b.jpg"])
    write_list(i2awa / "list.txt", [("horse-n02374451/b.jpg", 46)])
    told = problems(look("i2awa", i2awa, source_list=["list.txt"]), "source")
    assert (
        "classes that have no images in this domain" in told and "not part of the protocol" in told
    )


def test_one_image_in_the_lists_of_both_domains(tmp_path):
    put(tmp_path, ["photo/dog/a.jpg", "art_painting/dog/a.jpg"])
    for domain, folder in (("source", "photo"), ("target", "photo")):
        write_list(tmp_path / f"{domain}.txt", [(f"{folder}/dog/a.jpg", 0)])
    found = look(
        "pacs",
        tmp_path,
        source_list=["source.txt"],
        target_list=["target.txt"],
        target_folder="photo",
    )
    assert "1 images are listed in the source as well: photo/dog/a.jpg" in problems(found, "target")


def test_where_it_is_not_clear_which_folder_is_meant(i2awa):
    put(i2awa, ["JPEGImages/beaver/a.jpg"])
    with pytest.raises(DataError, match=r"may be 'Animals.*' or 'JPEGImages'") as caught:
        look("i2awa", i2awa)
    assert "task.i2awa.target_folder" in caught.value.hint
    look("i2awa", i2awa, target_folder="Animals_with_Attributes2/JPEGImages")


@pytest.mark.parametrize("gone", ["3D2", "Animals_with_Attributes2", ""])
def test_where_a_domain_is_missing(i2awa, gone):
    shutil.rmtree(i2awa / gone)
    with pytest.raises(DataError) as caught:
        look("i2awa", i2awa)
    assert str(i2awa) in caught.value.message and "task.i2awa" in caught.value.hint


@pytest.mark.parametrize("link", ["3D2/beaver-n02363005/1.jpg", "3D2/lion-n02129165/more"])
def test_links_out_of_the_root(i2awa, tmp_path, link):
    put(tmp_path / "outside", ["a.jpg"])
    (i2awa / link).symlink_to(tmp_path / "outside" / ("a.jpg" if link.endswith("jpg") else ""))
    with pytest.raises(DataError, match="leads out of the data root"):
        look("i2awa", i2awa)


def test_an_archive_beside_what_was_unpacked_from_it(i2awa):
    pack(i2awa / "3D2/beaver-n02363005.tar", ["0.jpg"])
    with pytest.raises(DataError, match="lies beside it, too") as caught:
        look("i2awa", i2awa)
    assert "not both" in caught.value.hint


# I2WebV


@pytest.fixture(scope="module")
def i2webv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One image of each of the 1,000 source and 5,000 target classes."""
    root = tmp_path_factory.mktemp("i2webv")
    known = [item.folder for item in I2WEBV if item.known]
    for wnid in known[:500]:
        put(root, [f"imagenet/train/{wnid}/{wnid}_10026.JPEG"])
    for wnid in known[500:]:
        pack(root / f"imagenet/train/{wnid}.tar", [f"{wnid}_10026.JPEG"])
    put(root, (f"webvision/image/{item.folder}/{item.folder}.jpg" for item in I2WEBV))
    return root


def test_i2webv_in_folders_and_archives(i2webv):
    data = prepared("i2webv", i2webv)
    assert len(data.images) == 6_000 and len(data.archives) == 500
    for image in data.images:
        path, member, *_ = image.place
        wnid = Path(path).parent.name if member is None else member[:9]
        assert image.label is not None and data.classes[image.label].wnid == wnid
    notes = " ".join(data.notes)
    assert "source, all: 1000 images instead of 1281167, and 1 more" in notes


def test_i2webv_by_webvisions_own_lists(i2webv, tmp_path):
    """Flat images, a list of file and number, and the order of the numbers in a third file."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "imagenet").symlink_to("source", target_is_directory=True)
    shutil.copytree(i2webv / "imagenet", root / "source")
    order = sorted(I2WEBV, key=lambda item: item.folder)
    (root / "webvision/info").mkdir(parents=True)
    (root / "webvision/info/synsets.txt").write_text(
        "".join(f"{item.folder} {item.entry.name}, something\n" for item in order)
    )
    names = [f"val{number:06}.jpg" for number in range(len(order))]
    pack(
        root / "webvision/val_images_resized.tar",
        (f"val_images_resized/{name}" for name in reversed(names)),
    )
    write_list(root / "webvision/val_filelist.txt", ((n, i) for i, n in enumerate(names)))
    lists = {"target_list": ["webvision/val_filelist.txt"]}
    data = prepared("i2webv", root, synsets="webvision/info/synsets.txt", **lists)
    target = {i.place.member: data.classes[i.label or 0].wnid for i in data.images}
    for number, name in enumerate(names):
        assert target[f"val_images_resized/{name}"] == order[number].folder

    told = problems(look("i2webv", root, **lists), "target")
    assert "5000 lines have a class number that nothing explains" in told and "synsets" in told


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("n01440764 tench\nn09999999 x", "'n09999999' is no class"),
        ("n01440764\nn01440764", "line 2"),
    ],
)
def test_synsets_that_are_wrong(i2webv, tmp_path, line, words):
    (tmp_path / "synsets.txt").write_text(line)
    (tmp_path / "list.txt").write_text("a.jpg 0\n")
    more = {"synsets": str(tmp_path / "synsets.txt"), "target_list": [str(tmp_path / "list.txt")]}
    with pytest.raises(DataError, match=words):
        look("i2webv", i2webv, **more)


# Sets of several domains


@pytest.mark.parametrize(
    ("task", "above", "folders", "more"),
    [
        ("pacs", "", {"source": "photo", "target": "art_painting"}, {}),
        ("pacs", "images/", {"source": "sketch", "target": "cartoon"}, {}),
        (
            "office_home",
            "OfficeHomeDataset_10072016/",
            {"source": "Real World", "target": "Art"},
            {},
        ),
        ("office_home", "", {"source": "real_world", "target": "clipart"}, {"target": "clipart"}),
        ("domainnet", "", {"source": "real", "target": "sketch"}, {}),
        ("domainnet", "domainnet/", {"source": "real", "target": "sketch"}, {"mini": True}),
    ],
)
def test_true_layouts(tmp_path, task, above, folders, more):
    classes = read_benchmark_classes(task)
    for folder in folders.values():
        put(tmp_path, (f"{above}{folder}/{item.folder}/a.jpg" for item in classes))
    if task == "pacs":
        more = folders
    used = [item for item in classes if item.mini or not more.get("mini")]
    data = prepared(task, tmp_path, **more)
    assert list(data.classes) == [item.entry for item in used]
    assert labelled(data) == {
        (f"{above}{folder}/{item.folder}/a.jpg", domain, item.entry.name)
        for domain, folder in folders.items()
        for item in used
    }


def test_domainnet_by_its_own_lists(tmp_path):
    """Numbers mean what the folders beside them say, and must keep to it."""
    classes = read_benchmark_classes("domainnet")
    for domain in ("real", "sketch"):
        put(tmp_path, (f"{domain}/{item.folder}/{domain}_1.jpg" for item in classes))
        half = len(classes) // 2
        for part, items in (("train", classes[:half]), ("test", classes[half:])):
            offset = 0 if part == "train" else half
            write_list(
                tmp_path / f"{domain}_{part}.txt",
                (
                    (f"{domain}/{item.folder}/{domain}_1.jpg", offset + number)
                    for number, item in enumerate(items)
                ),
            )
    lists = {
        f"{side}_list": [f"{domain}_train.txt", f"{domain}_test.txt"]
        for side, domain in (("source", "real"), ("target", "sketch"))
    }
    assert labelled(prepared("domainnet", tmp_path, **lists)) == labelled(
        prepared("domainnet", tmp_path)
    )
    with (tmp_path / "real_test.txt").open("a") as file:
        file.write(f"real/{classes[0].folder}/real_2.jpg 1\n")
    put(tmp_path, [f"real/{classes[0].folder}/real_2.jpg"])
    told = problems(look("domainnet", tmp_path, **lists), "source")
    assert "disagrees with the folder" in told and "real_train.txt, line 2" in told


def test_a_wrong_line_is_named_wherever_it_stands(tmp_path):
    # DomainNet's lists number the classes, and only the folders say which number is which.
    classes = read_benchmark_classes("domainnet")
    folders = [item.folder for item in classes[:3]]
    put(tmp_path, [f"real/{folder}/{n}.jpg" for folder in folders for n in range(3)])
    put(tmp_path, [f"sketch/{folders[0]}/1.jpg"])
    right = [(f"real/{folder}/{n}.jpg", at) for at, folder in enumerate(folders) for n in range(3)]
    for wrong in range(len(right)):
        lines = list(right)
        lines[wrong] = (right[wrong][0], (right[wrong][1] + 1) % 3)
        write_list(tmp_path / "list.txt", lines)
        told = problems(look("domainnet", tmp_path, source_list=["list.txt"]), "source")
        assert "1 lines have a class number that disagrees with the folder" in told
        assert f"list.txt, line {wrong + 1} (" in told


@pytest.mark.parametrize("name", BENCHMARKS)
def test_parameters_without_a_root(name):
    with pytest.raises(ConfigError, match=f"task.{name}.root is needed"):
        parse_params({"task": {"name": name}})


def test_the_same_domain_twice():
    with pytest.raises(ConfigError, match="the same domain"):
        settings_of("pacs", Path("x"), source="photo", target="photo")


# The command


def run(*arguments: str) -> typer.testing.Result:
    return typer.testing.CliRunner().invoke(app, ["data", "check", *arguments])


def test_data_check_says_what_differs(i2awa):
    done = run("i2awa", "--root", str(i2awa))
    assert done.exit_code == 1
    for words in ("I2AwA below", "40 of 40", "Other numbers of images", "killer whale", "-201"):
        assert words in done.stdout
    assert "Usable, but not as published: 90 image counts differ" in done.stdout
    change_half(i2awa)
    done = run("i2awa", "--root", str(i2awa))
    assert "20 of 40 classes have no image" in done.stdout
    assert done.stdout.count("-n0") >= 20, "each class is named"
    assert "Not usable as it is" in done.stdout


def test_data_check_of_a_whole_set_ends_well(tmp_path):
    source, target = i2awa_names(per_class=None)
    pack(tmp_path / "3D2.tar", source)
    pack(tmp_path / "AwA2.tar", target)
    done = run("i2awa", "--root", str(tmp_path), "--json")
    assert done.exit_code == 0, done.stdout
    told = json.loads(done.stdout)
    assert told["verdict"] == "All of it is there, as published." and not told["differences"]
    assert told["domains"]["target"]["images"] == 37_322


def test_data_check_takes_the_parameters_where_no_root_is_given(i2awa, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text(f"task: {{name: i2awa, i2awa: {{root: {i2awa}}}}}\n")
    assert "I2AwA below" in run("i2awa", "--params", str(params)).stdout
    with pytest.raises(SreclipError, match="--root is missing"):
        typer.testing.CliRunner().invoke(
            app, ["data", "check", "pacs", "--params", str(params)], catch_exceptions=False
        )
    with pytest.raises(ConfigError, match="did you mean 'i2awa'"):
        typer.testing.CliRunner().invoke(
            app, ["data", "check", "i2aw", "--root", "x"], catch_exceptions=False
        )


READY = [
    path for path in sorted(CONFIGS.glob("*.yaml")) if load_params(path).task.name in BENCHMARKS
]


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_ready_configurations_have_the_published_split(path):
    params = load_params(path)
    benchmark = benchmark_of(params.task.name, params.task.settings)
    names = [entry.name for entry in benchmark.classes]
    with_source = set(benchmark.sides["source"].folders.values())
    counts = [int(label in with_source) for label in range(len(names))]
    assert known_mask(names, counts, params.split).tolist() == list(benchmark.known)


def test_every_benchmark_has_a_ready_configuration():
    assert {load_params(path).task.name for path in READY} == set(BENCHMARKS)
