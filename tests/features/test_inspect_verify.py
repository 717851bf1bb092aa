"""What a person asks of the cache: what is in it, and is it whole."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from sreclip.cli import app
from sreclip.errors import StoreError
from sreclip.features.header import Provenance, new_header, write_header
from sreclip.features.inspect import describe, render
from sreclip.features.rows import checksums
from sreclip.features.store import join_shards
from sreclip.features.text import extract_text
from sreclip.features.verify import count_files, verify_tree

Tree = dict[str, Path]


@pytest.fixture
def tree(root: Path, extract: Callable[..., object], fake: SimpleNamespace, tmp_path: Path) -> Tree:
    """A cache with two shards, their join and a text file."""
    (root / "source" / "0007.png").write_text("[red]no picture[/red]")
    paths = [f"source/{number:04d}.png" for number in range(30)]
    rows: pd.DataFrame = fake.manifest_rows(root, paths)
    cache = tmp_path / "cache"
    tree = {
        "first": cache / "images" / "first.h5",
        "second": cache / "images" / "second.h5",
        "joined": cache / "joined" / "source.h5",
        "text": cache / "text" / "classes.h5",
    }
    extract(rows.iloc[:20], tree["first"], rows_key="first")
    extract(rows.iloc[20:], tree["second"], rows_key="second")
    join_shards(tree["joined"], [tree["first"], tree["second"]])
    extract_text(["cat"], [["cat"]], ["a [b]{}[/b]"], fake.Backbone(), tree["text"])
    return tree


def flip(path: Path, part: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(part)] ^= 1
    path.write_bytes(content)


def test_describe_and_render(tree: Tree) -> None:
    about = describe(tree["joined"])
    assert (about["kind"], about["shape"], about["dtype"]) == ("joined", (30, 16), "float16")
    assert (about["rejects"], about["checksum"]) == (1, "good")
    assert about["shards"] == ["../images/first.h5", "../images/second.h5"]
    assert describe(tree["text"])["templates"] == ["a [b]{}[/b]"]
    console = Console(width=200, file=io.StringIO())
    for path in tree.values():
        console.print(render(path))
    text = console.file.getvalue()
    for word in ("20 x 16", "source/0007.png: not an image", "fake", "50", "a [b]{}[/b]", "good"):
        assert word in text


def test_inspect_tells_of_damage(tree: Tree) -> None:
    with h5py.File(tree["first"]) as file:
        row = file["features"][5].tobytes()
    flip(tree["first"], row)
    assert "rows 0 to 19 do not match their checksum" in describe(tree["first"])["checksum"]
    assert "first.h5 is damaged" in describe(tree["joined"])["checksum"]
    with pytest.raises(StoreError, match="is missing"):
        describe(tree["first"].with_name("third.h5"))


def test_a_whole_tree_has_no_problems(tree: Tree, tmp_path: Path) -> None:
    assert verify_tree(tmp_path / "cache") == []
    assert count_files(tmp_path / "cache") == 4
    with pytest.raises(StoreError, match="not a folder"):
        verify_tree(tmp_path / "nowhere")


def test_every_problem_is_named_with_the_way_out(tree: Tree, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with h5py.File(tree["text"]) as file:
        flip(tree["text"], file["features"][0].tobytes())
    tree["second"].write_bytes(tree["second"].read_bytes()[:-100])
    (cache / "images" / ".third.h5.77.tmp").write_bytes(b"half")
    (cache / "notes.h5").write_text("hello")
    problems = {problem.path.name: problem for problem in verify_tree(cache)}
    assert set(problems) == {
        "classes.h5",
        "second.h5",
        "source.h5",
        ".third.h5.77.tmp",
        "notes.h5",
    }
    assert "extract-text" in problems["classes.h5"].hint
    assert "second.h5 is damaged: it is shorter" in str(problems["second.h5"])
    assert "second.h5 is damaged" in problems["source.h5"].what
    assert "killed" in problems[".third.h5.77.tmp"].what
    assert "not an HDF5 file" in problems["notes.h5"].what
    assert all(problem.hint for problem in problems.values())
    assert [name for name, problem in problems.items() if problem.unfinished] == [
        ".third.h5.77.tmp"
    ]


def test_what_may_still_be_written_is_not_set_aside(tree: Tree, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    writing = cache / "images" / ".third.h5.77.tmp"
    writing.write_bytes(b"half")
    (cache / "notes.h5").write_text("hello")
    done = CliRunner().invoke(app, ["verify", str(cache), "--set-aside"])
    assert done.exit_code == 1
    assert done.stdout.count("set aside as") == 1 and "notes.h5.damaged" in done.stdout
    assert writing.exists() and not (cache / "notes.h5").exists()


def test_shards_elsewhere_are_read_too(tree: Tree, tmp_path: Path) -> None:
    with h5py.File(tree["first"]) as file:
        flip(tree["first"], file["features"][0].tobytes())
    assert [problem.path.name for problem in verify_tree(tmp_path / "cache" / "joined")] == [
        "first.h5"
    ]


@pytest.mark.parametrize("row", [0, 7])
def test_rows_that_cannot_be_features(tree: Tree, tmp_path: Path, row: int) -> None:
    with h5py.File(tree["first"], "a") as file:
        file["features"][row] = 0.5
        file["features_xxh3"][:] = checksums(file["features"][:])
        row_id = file["row_id"][row]
    (problem,) = verify_tree(tmp_path / "cache")
    assert f"row_id {row_id}" in problem.what


def test_other_data_under_whole_blocks(tree: Tree, tmp_path: Path) -> None:
    with h5py.File(tree["first"], "a") as file:
        file["features"][[0, 1]] = file["features"][[0, 1]][::-1]
    (problem,) = verify_tree(tmp_path / "cache")
    assert "rows 0 to 19 do not match their checksum" in problem.what
    with h5py.File(tree["first"], "a") as file:
        file["features_xxh3"][:] = checksums(file["features"][:])
    (problem,) = verify_tree(tmp_path / "cache")
    assert "do not match their SHA-256" in problem.what


def test_a_key_that_does_not_follow(tree: Tree, tmp_path: Path) -> None:
    with h5py.File(tree["text"], "a") as file:
        made_with = Provenance("fake", "0" * 64, "none", "float32", "float32", 1.0, 16)
        header = new_header("text", made_with, "rows", "", "0" * 64)
        write_header(file, type(header)(**{**header.__dict__, "key": "another"}))
    (problem,) = verify_tree(tmp_path / "cache")
    assert "its key does not follow" in problem.what


def test_scores_are_read_through(tree: Tree, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "models" / "scores.h5"
    path.parent.mkdir()
    logits = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "sreclip-scores/1"
        file.create_dataset("logits", data=logits, chunks=(1, 3, 4), fletcher32=True)
    assert verify_tree(tmp_path / "cache") == []
    flip(path, logits[1].tobytes())
    (problem,) = verify_tree(tmp_path / "cache")
    assert problem.path == path
    assert "train" in problem.hint
    shutil.rmtree(path.parent)
    assert verify_tree(tmp_path / "cache") == []
