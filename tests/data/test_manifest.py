"""The manifest's files: what is written is read again, and nothing leaves the data root."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreclip.data.manifest import (
    COLUMNS,
    ClassEntry,
    read_classes,
    read_manifest,
    read_summary,
    read_target_labels,
    row_id,
    withdraw_task,
    write_task,
)
from sreclip.errors import DataError, StoreError

CLASSES = (ClassEntry("dog", ("dog", "puppy"), "n02084071"), ClassEntry("cat", ("cat",)))


def some_rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row_id": [11, 12, 21, 22, 23],
            "path": ["s/a.jpg", "s/b.jpg", "t/a.jpg", "t/b.jpg", "t/c.jpg"],
            "domain": ["source", "source", "target", "target", "target"],
            "label": pd.array([0, 1, 1, None, 0], dtype="Int32"),
            "size": [1, 2, 3, 4, 5],
            "sha256": ["a", "b", "c", "d", "e"],
            "member": [None, None, None, "x.jpg", "y.jpg"],
            "offset": [None, None, None, 512, 2**53 + 1],
        }
    ).astype(COLUMNS)


@pytest.fixture
def folder(tmp_path) -> Path:
    write_task(tmp_path, some_rows(), CLASSES, {"root": "data"})
    return tmp_path


def test_round_trip_keeps_all_but_target_labels(folder):
    rows = read_manifest(folder)
    expected = some_rows()
    expected.loc[2:, "label"] = None
    pd.testing.assert_frame_equal(rows, expected)
    assert {name: str(kind) for name, kind in rows.dtypes.items()} == COLUMNS
    assert read_classes(folder) == list(CLASSES)
    assert read_summary(folder) == {"root": "data"}


def test_target_labels_are_in_their_own_file_only(folder):
    assert read_target_labels(folder, [23, 22, 21, 99]).tolist() == [0, -1, 1, -1]
    assert read_target_labels(folder, np.array([22])).dtype == np.int64
    assert pd.read_parquet(folder / "target_labels.parquet")["row_id"].tolist() == [21, 23]
    assert pd.read_parquet(folder / "manifest.parquet")["label"].tolist()[:2] == [0, 1]
    assert pd.read_parquet(folder / "manifest.parquet")["label"].isna().tolist()[2:] == [True] * 3


def test_target_without_labels(tmp_path):
    rows = some_rows()
    rows.loc[2:, "label"] = None
    write_task(tmp_path, rows, CLASSES, {})
    assert read_target_labels(tmp_path, [21, 22]).tolist() == [-1, -1]


def test_the_callers_rows_stay_as_they_were(tmp_path):
    rows = some_rows()
    write_task(tmp_path, rows, CLASSES, {})
    pd.testing.assert_frame_equal(rows, some_rows())


def test_a_kill_while_writing_leaves_no_manifest_of_other_files(folder, monkeypatch):
    def killed(path: Path, value: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sreclip.data.manifest.write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        write_task(folder, some_rows(), CLASSES, {})
    with pytest.raises(StoreError, match="missing"):
        read_manifest(folder)


def test_withdraw(folder):
    withdraw_task(folder)
    withdraw_task(folder)
    assert not (folder / "manifest.parquet").exists()
    withdraw_task(folder / "not" / "there")
    (folder / "manifest.parquet").mkdir()
    with pytest.raises(StoreError, match="cannot be replaced"):
        withdraw_task(folder)


def put(folder: Path, rows: pd.DataFrame) -> None:
    rows.to_parquet(folder / "manifest.parquet", index=False)


def test_damaged_manifests(folder):
    whole = (folder / "manifest.parquet").read_bytes()
    for data in (whole[: len(whole) // 2], b"", b"text"):
        (folder / "manifest.parquet").write_bytes(data)
        with pytest.raises(StoreError, match="cannot be read"):
            read_manifest(folder)
    put(folder, some_rows().drop(columns="sha256"))
    with pytest.raises(StoreError, match="no column sha256"):
        read_manifest(folder)
    put(folder, some_rows().assign(row_id=[11, 12, 21, 22, 11]))
    with pytest.raises(StoreError, match=r"'t/c\.jpg' appears twice"):
        read_manifest(folder)
    put(folder, some_rows().assign(size="many"))
    with pytest.raises(StoreError, match="wrong type"):
        read_manifest(folder)


def test_damaged_neighbours(folder):
    pd.DataFrame({"row_id": [1, 1], "label": [0, 0]}).to_parquet(folder / "target_labels.parquet")
    with pytest.raises(StoreError, match="twice"):
        read_target_labels(folder, [1])
    pd.DataFrame({"row_id": [1]}).to_parquet(folder / "target_labels.parquet")
    with pytest.raises(StoreError, match="no column label"):
        read_target_labels(folder, [1])
    for text in ('[{"name": "dog"}]', "[1]", "3", '[{"name": 1, "prompt_names": [], "wnid": ""}]'):
        (folder / "classes.json").write_text(text)
        with pytest.raises(StoreError, match="class table"):
            read_classes(folder)


@pytest.mark.parametrize("path", ["../x.jpg", "s/../../x.jpg", "/etc/passwd", "", "..", "s/.."])
def test_manifest_with_a_path_that_leaves_the_root(folder, path):
    put(folder, some_rows().assign(path=["s/a.jpg", "s/b.jpg", path, "t/b.jpg", "t/c.jpg"]))
    with pytest.raises(DataError, match="row 2"):
        read_manifest(folder)


def test_dots_within_names_are_no_escape(folder):
    put(folder, some_rows().assign(path=["..a.jpg", "s/b..jpg", ".../x", "a../b", "t/c.jpg"]))
    assert len(read_manifest(folder)) == 5


@given(domain=st.sampled_from(["source", "target"]), path=st.text(min_size=1))
def test_row_ids_fit_and_tell_domains_apart(domain, path):
    try:
        number = row_id(domain, path)
    except UnicodeEncodeError:
        return
    assert 0 <= number < 2**63
    other = "target" if domain == "source" else "source"
    assert number != row_id(other, path)


def test_row_id_never_changes():
    # The first eight bytes of what `printf source/a.jpg | sha256sum` prints; cached features hang
    # on them.
    assert row_id("source", "a.jpg") == 0x1AABA335544B1146 // 2


@pytest.mark.parametrize(("name", "prompts"), [("", ("x",)), (" ", ("x",)), ("dog", ())])
def test_class_without_a_name(name, prompts):
    with pytest.raises(DataError):
        ClassEntry(name, prompts)
