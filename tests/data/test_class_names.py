"""Class folders and listed names that are codes: WordNet ids, and numbers."""

import json
from pathlib import Path

import pytest

from sreclip.data.manifest import ClassEntry
from sreclip.graph.wordnet import WordNet
from tests.data.test_folder import FolderTask, make, prepare, refused

TABBY = ClassEntry("tabby", ("tabby",), "n02123045")


def names(settings: dict) -> list[str]:
    return [entry.name for entry in prepare(settings).classes]


def test_folders_that_are_wordnet_ids_get_the_name_and_the_id_of_their_synset(tmp_path):
    settings = make(
        tmp_path, "source/n02123045/a.jpg", "source/horse/a.jpg", "target/n02123045/b.jpg"
    )
    data = prepare(settings)
    assert data.classes == [ClassEntry("horse", ("horse",)), TABBY]
    assert {(image.place.path, image.label) for image in data.images} == {
        ("source/horse/a.jpg", 0),
        ("source/n02123045/a.jpg", 1),
        ("target/n02123045/b.jpg", 1),
    }
    assert any("n02123045 (tabby)" in note for note in data.notes)
    look = FolderTask().first_look(settings, Path("unused"))
    assert look.classes == {"horse": 1, "tabby": 1}


def test_words_of_a_lemma_and_a_name_behind_the_id(tmp_path):
    settings = make(
        tmp_path,
        "source/n02071294/a.jpg",
        "source/n02086240-Shih-Tzu/a.jpg",
        "source/N02093256_Staffordshire_bullterrier/a.jpg",
        "target/a.jpg",
    )
    assert prepare(settings).classes == [
        ClassEntry("killer whale", ("killer whale",), "n02071294"),
        ClassEntry("Shih-Tzu", ("Shih-Tzu",), "n02086240"),
        ClassEntry("Staffordshire bullterrier", ("Staffordshire bullterrier",), "n02093256"),
    ]


def test_ids_that_share_a_first_lemma_stay_apart(tmp_path):
    """In ImageNet: two cranes, two maillots, and the cardigan as a dog and as a garment."""
    ids = ("n02012849", "n03126707", "n03710637", "n03710721", "n02113186", "n02963159")
    settings = make(tmp_path, *(f"source/{wnid}/a.jpg" for wnid in ids), "target/a.jpg")
    by_id = {entry.wnid: entry.name for entry in prepare(settings).classes}
    assert by_id["n02012849"] == "crane (wading bird)"
    assert by_id["n03126707"] == "crane (lifting device)"
    assert by_id["n02113186"] == "Cardigan (corgi)"
    assert by_id["n02963159"] == "cardigan (sweater)"
    assert len({name.casefold() for name in by_id.values()}) == 6
    assert all(entry.prompt_names == (entry.name,) for entry in prepare(settings).classes)


def test_every_id_of_wordnet_has_a_name_of_its_own(tmp_path):
    wordnet = WordNet.bundled()
    ids = [wnid for sense in ("crane", "bat", "head", "line") for wnid in wordnet.senses(sense)]
    (tmp_path / "c.txt").write_text("\n".join(ids))
    settings = make(tmp_path, f"source/{ids[0]}/a.jpg", "target/a.jpg") | {"classes": "c.txt"}
    data = prepare(settings)
    assert [entry.wnid for entry in data.classes] == ids
    assert len({entry.name.casefold() for entry in data.classes}) == len(ids)


@pytest.mark.parametrize("code", ["n02123040", "n99999999", "n2123045", "n02123040-tabby"])
def test_an_id_that_wordnet_lacks_is_named(tmp_path, code):
    settings = make(tmp_path, f"source/{code}/a.jpg", "source/cat/a.jpg", "target/a.jpg")
    refused(settings, f"source/{code}", repr(code.partition("-")[0]), "WordNet 3.0")


@pytest.mark.parametrize(
    "paths",
    [
        ("source/n02121620/a.jpg", "target/cat/a.jpg"),
        ("source/n02121620/a.jpg", "source/true_cat/a.jpg", "target/a.jpg"),
        ("source/n02121620/a.jpg", "source/N02121620/a.jpg", "target/a.jpg"),
        ("source/n02121620/a.jpg", "target/n02121620-puss/a.jpg"),
    ],
)
def test_one_class_by_id_and_by_name_is_refused(tmp_path, paths):
    refused(make(tmp_path, *paths), "n02121620")


def test_numbers_stop_and_show_what_a_class_list_looks_like(tmp_path):
    settings = make(
        tmp_path, *(f"source/{number}/a.jpg" for number in (0, 1, 2, 10)), "target/a.jpg"
    )
    refused(settings, "source/0", "source/10", "numbers")
    for look in (prepare, lambda given: FolderTask().first_look(given, Path("unused"))):
        with pytest.raises(Exception) as caught:
            look(settings)
        assert "name,folder" in caught.value.hint
        assert "task.folder.classes" in caught.value.hint
    (tmp_path / "c.csv").write_text("name,folder\nplane,0\ncar,1\nbird,2\ntruck,10\n")
    assert names(settings | {"classes": "c.csv"}) == ["plane", "car", "bird", "truck"]


@pytest.mark.parametrize("number", ["007", "-1", "3.0", "1_000"])
def test_other_ways_to_write_a_number(tmp_path, number):
    settings = make(tmp_path, f"source/{number}/a.jpg", "source/cat/a.jpg", "target/a.jpg")
    refused(settings, f"source/{number}", "number")


def test_numbers_among_the_classes_of_an_archive_or_the_target_alone_stop_too(tmp_path):
    refused(make(tmp_path, "source/cat/a.jpg", "target/7/a.jpg"), "target/7", "number")


def test_names_that_merely_hold_digits_are_names(tmp_path):
    kept = ["747-400", "2cv", "class 2", "n95 mask", "no 5", "n1"]
    settings = make(tmp_path, *(f"source/{name}/a.jpg" for name in kept), "target/a.jpg")
    assert sorted(names(settings)) == sorted(kept)


def test_ids_and_numbers_in_class_lists(tmp_path):
    settings = make(tmp_path, "source/n02123045/a.jpg", "source/dog/a.jpg", "target/a.jpg")
    (tmp_path / "c.txt").write_text("dog\nn02123045\n")
    (tmp_path / "c.csv").write_text("name,prompt_names\ndog,\nn02123045,\n")
    (tmp_path / "c.json").write_text('["dog", "n02123045"]')
    for listed in ("c.txt", "c.csv", "c.json"):
        given = settings | {"classes": listed}
        assert prepare(given).classes == [ClassEntry("dog", ("dog",)), TABBY]
        assert [image.label for image in prepare(given).images] == [0, 1, None]
        assert FolderTask().first_look(given, Path("unused")).classes == {"dog": 1, "tabby": 1}
    (tmp_path / "c.csv").write_text("name,prompt_names\ndog,\nn02123045,striped cat\n")
    expected = ClassEntry("tabby", ("striped cat",), "n02123045")
    assert prepare(settings | {"classes": "c.csv"}).classes[1] == expected


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("c.txt", "cat\n0\n1\n", ["line 2", "'0'", "number"]),
        ("c.csv", "name,folder\n0,cat\n", ["line 2", "'0'", "number"]),
        ("c.json", '["cat", "7"]', ["entry 2", "'7'", "number"]),
        ("c.txt", "cat\nn02123040\n", ["line 2", "'n02123040'", "WordNet 3.0"]),
        ("c.csv", "name,wnid\ncat,n02121621\n", ["line 2", "'n02121621'", "WordNet 3.0"]),
        ("c.csv", "name,wnid\ncat,n02121620\npuss,n02121620\n", ["line 3", "line 2", "n02121620"]),
        ("c.csv", "name,wnid\nn02121620,n02084071\n", ["line 2", "n02121620", "n02084071"]),
    ],
)
def test_class_lists_with_codes_that_are_refused(tmp_path, name, text, words):
    settings = make(tmp_path, "source/cat/a.jpg", "target/a.jpg")
    (tmp_path / name).write_text(text)
    refused(settings | {"classes": name}, *words)


def test_a_number_with_a_prompt_name_is_a_name(tmp_path):
    settings = make(tmp_path, "source/0/a.jpg", "target/a.jpg")
    item = {"name": "0", "prompt_names": "the number zero"}
    (tmp_path / "c.json").write_text(json.dumps([item]))
    assert prepare(settings | {"classes": "c.json"}).classes == [
        ClassEntry("0", ("the number zero",))
    ]


def test_wordnet_is_read_only_where_an_id_occurs(tmp_path, monkeypatch):
    def read() -> None:
        raise AssertionError("WordNet was read")

    monkeypatch.setattr(WordNet, "bundled", read)
    assert names(make(tmp_path, "source/cat/a.jpg", "target/a.jpg")) == ["cat"]
