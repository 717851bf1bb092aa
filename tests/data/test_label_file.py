"""Files of labels that a person gave."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sreclip.data.label_file import (
    NONE_OF_THESE,
    SHOWS_NONE,
    give_label,
    labels_of,
    read_label_file,
)
from sreclip.errors import DataError

CLASSES = ["dog", "polar bear"]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_are_numbers_of_classes(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "class,who,path\n"
        'dog,me,"a, b.jpg"\n'
        "polar_bear,me,c.jpg\n"
        "none of these,you,d.jpg\n"
        ",you,e.jpg\n"
        'dog,you,"a, b.jpg"\n',
    )
    assert labels_of(path, CLASSES) == {"a, b.jpg": 0, "c.jpg": 1, "d.jpg": SHOWS_NONE}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    labels = {'odd "name", with\nnewline.jpg': "dog", "d.jpg": NONE_OF_THESE}
    path = tmp_path / "folder/labels.csv"
    for image, name in labels.items():
        give_label(path, image, name)
    assert {row.path: row.name for row in read_label_file(path)} == labels


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column path and no column class"),
        ("path,label\na.jpg,dog\n", "line 1: no column class"),
        ("path,class\na.jpg,dog\na.jpg,cat\n", "line 3: a.jpg is 'cat', and 'dog' in line 2"),
        ("path,class\n,dog\n", "line 2: no path"),
        ('path,class\n"a.jpg,dog\n', "unexpected end of data"),
        ("path,class\na.jpg,dgo\n", "line 2: no class 'dgo' (did you mean 'dog'?)"),
    ],
)
def test_rows_that_cannot_be_used_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        labels_of(written(tmp_path, text), CLASSES)
    assert said in str(caught.value)
    assert "labels.csv" in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv: the file of labels cannot be read"):
        labels_of(tmp_path / "gone.csv", CLASSES)


def test_all_else_of_the_file_stays(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "\ufeffpath,class,who,note\r\na.jpg,dog,Ann,\r\nb.jpg,,,ask Bob\r\nc.jpg,cat,,\r\n",
    )
    give_label(path, "b.jpg", "dog")
    give_label(path, "a.jpg", None)
    give_label(path, "c.jpg", None)
    give_label(path, "d.jpg", NONE_OF_THESE)
    assert path.read_text().splitlines() == [
        "path,class,who,note",
        "a.jpg,,Ann,",
        "b.jpg,dog,,ask Bob",
        "d.jpg,none of these,,",
    ]


def test_what_others_write_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: give_label(path, f"{n}.jpg", "dog"), range(40)))
    assert {row.path for row in read_label_file(path)} == {f"{n}.jpg" for n in range(40)}


def test_a_file_of_something_else_is_not_touched(tmp_path: Path) -> None:
    path = written(tmp_path, "image,label\na.jpg,dog\n")
    with pytest.raises(DataError, match="no column path"):
        give_label(path, "a.jpg", "dog")
    assert path.read_text() == "image,label\na.jpg,dog\n"
