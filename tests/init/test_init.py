"""Own images become parameters that load, and that say what was found."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sreclip.cli import app
from sreclip.config import load_params
from sreclip.errors import SreclipError
from tests.workflow.conftest import draw_image


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with photos of cats and cranes, and paintings without labels."""
    for kind, name in enumerate(("cat", "crane")):
        for number in range(6 - 3 * kind):
            draw_image(tmp_path / f"photos/{name}/{number}.png", kind, number, lines=False)
    for number in range(4):
        draw_image(tmp_path / f"my paintings/{number}.png", number % 4, 50 + number, lines=True)
    (tmp_path / "photos/cat/notes.txt").write_text("nothing")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str, given: str = "") -> Result:
    done = CliRunner().invoke(app, ["init", *arguments], input=given)
    assert done.exception is None or isinstance(done.exception, SreclipError | SystemExit), done
    return done


def test_two_folders_and_names_are_enough(folder: Path) -> None:
    shutil.copy(folder / "photos/cat/0.png", folder / "my paintings/again.png")
    done = init("photos", "my paintings", "--names", "heron, flumox", "--yes")
    assert done.exit_code == 0
    said = done.stdout
    assert "source: 9 images of 2 classes (cat 6, crane 3)" in said
    assert "target: 5 images\n" in said
    assert "unknown classes, which the source does not have: heron, flumox" in said
    assert "few source images: crane (3)" in said
    assert "1 images are in both domains: photos/cat/0.png = my paintings/again.png" in said
    assert "WordNet does not know flumox" in said
    assert done.stderr.endswith("run\n  sreclip run\n")
    params = load_params(folder / "params.yaml")
    settings = params.task.folder
    assert (params.task.name, params.task.duplicates) == ("folder", "drop_target")
    assert (settings.root, settings.source, settings.target) == (
        str(folder),
        "photos",
        "my paintings",
    )
    assert params.split.unknown == "auto"
    assert params.graph.allow_unmapped
    assert params.prompts.templates == ["a photo of a {}.", "a painting of a {}."]
    assert params.backbone.open_clip.model == "ViT-B-16"
    listed = (folder / "classes.txt").read_text().splitlines()
    assert listed == ["cat", "crane", "heron", "flumox"]
    text = (folder / "params.yaml").read_text()
    assert '"heron": n02' in text
    assert '"flumox": not in WordNet' in text


def test_class_folders_alone_are_enough_and_the_backbone_can_be_named(folder: Path) -> None:
    (folder / "my paintings/dog").mkdir()
    shutil.move(folder / "my paintings/0.png", folder / "my paintings/dog/0.png")
    done = init("photos", "my paintings", "--backbone", "mini", "--out", "mine.yaml", "--yes")
    assert "4 images, 1 of them in class folders: used to judge, never to learn" in done.stdout
    assert done.stderr.endswith("  sreclip run --params mine.yaml\n")
    params = load_params(folder / "mine.yaml")
    assert params.backbone.name == "mini"
    assert params.task.folder.classes is None
    assert not (folder / "classes.txt").exists()


def test_names_come_from_a_file_and_odd_ones_are_quoted(folder: Path) -> None:
    (folder / "more.txt").write_text('# birds\nno\nheron: "grey"\n')
    init("photos", "my paintings", "--names", "more.txt", "--yes")
    assert (folder / "classes.txt").read_text().splitlines()[2:] == ["no", 'heron: "grey"']
    assert load_params(folder / "params.yaml").graph.allow_unmapped


def test_a_class_list_keeps_all_that_it_says(folder: Path) -> None:
    (folder / "more.csv").write_text(
        "name,prompt_names,wnid,folder\n"
        'puma,"puma;mountain lion",,\n'
        "lifting crane,,n03126707,crane\n"
    )
    done = init("photos", "my paintings", "--names", "more.csv", "--yes")
    assert "unknown classes, which the source does not have: puma\n" in done.stdout
    assert (folder / "classes.csv").read_text().splitlines() == [
        "name,prompt_names,wnid,folder",
        "cat,,,cat",
        "lifting crane,,n03126707,crane",
        "puma,puma;mountain lion,,puma",
    ]
    classes = load_params(folder / "params.yaml").task.folder.classes
    assert classes == str(folder / "classes.csv")


def test_classes_in_archives_of_the_source_are_found(folder: Path) -> None:
    for name, inside in (("photos/more.tar", "dog/1.png"), ("photos/owl.tar", "owl/1.png")):
        with tarfile.open(folder / name, "w") as archive:
            archive.add(folder / "photos/cat/0.png", inside)
    done = init("photos", "my paintings", "--names", "heron,crane", "--yes")
    assert "11 images of 4 classes (cat 6, crane 3, dog 1, owl 1)" in done.stdout
    listed = (folder / "classes.txt").read_text().splitlines()
    assert listed == ["cat", "crane", "dog", "owl", "heron"]


def test_a_terminal_is_asked_for_what_is_not_clear(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for old, new in (("cat", "bat"), ("crane", "seal")):
        (folder / f"photos/{old}").rename(folder / f"photos/{new}")
    args = ("photos", "my paintings", "--backbone", "mini")
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("sreclip.cli.init.sys", terminal)
    init(*args, given="\nn\n")
    assert not (folder / "params.yaml").exists()
    done = init(*args, given="9\n3\ny\n")
    assert done.stdout.count("What is ") == 1
    assert "What is 'bat'?\n  1  " in done.stdout
    (wnid,) = load_params(folder / "params.yaml").graph.senses.values()
    assert "  3  nocturnal mouselike mammal" in done.stdout
    assert wnid == "n02139199"


def test_in_a_clone_snakemake_is_named(folder: Path) -> None:
    (folder / "Snakefile").touch()
    done = init("photos", "my paintings", "--backbone", "mini", "--out", "mine.yaml", "--yes")
    assert done.stderr.endswith("  snakemake --cores all all --configfile mine.yaml\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("photos", "photos"), "source and target are the same folder"),
        (("photos", "photos/cat"), "one of photos and photos/cat lies in the other"),
        (("photos", "nothing"), "nothing is no folder"),
        (("photos", "empty"), "empty"),
        (("photos", "my paintings", "--backbone", "ViT-B-16"), "is no MODEL:WEIGHTS"),
        (("photos", "my paintings", "--names", "heron,heron,3"), "3"),
    ],
)
def test_what_cannot_be_used_is_told_and_nothing_is_written(
    folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    (folder / "empty").mkdir()
    before = sorted(folder.rglob("*"))
    done = init(*arguments, "--yes")
    assert said in str(done.exception)
    assert sorted(folder.rglob("*")) == before


def test_nothing_is_written_over(folder: Path) -> None:
    for taken in ("params.yaml", "classes.txt"):
        (folder / taken).write_text("mine")
        done = init("photos", "my paintings", "--names", "heron", "--yes")
        assert f"{taken} exists" in str(done.exception)
        assert (folder / taken).read_text() == "mine"
        (folder / taken).unlink()
