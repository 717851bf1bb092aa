"""What a person asks of the cache: what is in it, and is it whole."""

from __future__ import annotations

import io
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
from sreclip.features.header import Provenance
from sreclip.features.images import write_images
from sreclip.features.inspect import describe, render
from sreclip.features.text import encode_texts, write_text
from sreclip.features.verify import verify_file, verify_tree
from sreclip.graph.build import write_similarity
from sreclip.methods.scores import ImageScores, Scores, read_scores, write_scores
from sreclip.plan.results import Result

Tree = dict[str, Path]


def make_scores(path: Path) -> Scores:
    """Write scores of two seeds, three images and four classes."""
    random = np.random.default_rng(0)

    def run() -> ImageScores:
        one = random.random(3, np.float32)
        classes = np.arange(3, dtype=np.int32)
        top = random.random((3, 4), np.float32)
        return ImageScores(
            np.tile(np.arange(4, dtype=np.int32), (3, 1)), top, classes, one, classes, one, one
        )

    scores = Scores(
        row_id=np.arange(3),
        ok=np.array([True, False, True]),
        runs=(run(), run()),
        seeds=(0, 7),
        classes=("cat", "été", "dog", "cow"),
        known=np.array([True, True, False, False]),
        method="zero_shot",
        key="0123456789ab",
    )
    write_scores(path, scores)
    return scores


@pytest.fixture
def tree(root: Path, extract: Callable[..., object], fake: SimpleNamespace, tmp_path: Path) -> Tree:
    """A cache with every kind of file."""
    (root / "source" / "0007.png").write_text("[red]no image[/red]")
    paths = [f"source/{number:04d}.png" for number in range(30)]
    rows: pd.DataFrame = fake.manifest_rows(root, paths)
    cache = tmp_path / "cache"
    tree = {
        "first": cache / "images" / "first.h5",
        "second": cache / "images" / "second.h5",
        "text": cache / "text" / "classes.h5",
        "scores": cache / "models" / "scores.h5",
        "similarity": cache / "graph" / "similarity.h5",
    }
    extract(rows.iloc[:20], tree["first"], rows_key="first")
    extract(rows.iloc[20:], tree["second"], rows_key="second")
    backbone, prompts = fake.Backbone(), {"prompt_names": [["cat"]], "templates": ["a [b]{}[/b]"]}
    vectors = encode_texts(["cat"], *prompts.values(), backbone)
    made_with = Provenance.of(backbone, "float32")
    write_text(tree["text"], made_with, vectors, names=["cat"], **prompts)
    make_scores(tree["scores"])
    graph = Result("graph", cache / "graph", "0123456789ab", files=("similarity.h5",))
    write_similarity(graph, np.eye(4, dtype=np.float32))
    return tree


def flip(path: Path, part: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(part)] ^= 1
    path.write_bytes(content)


def test_describe_and_render(tree: Tree) -> None:
    about = describe(tree["first"])
    assert (about["kind"], about["domain"], about["checksum"]) == ("images", "source", "good")
    assert about["data"]["features"] == ((20, 16), "float16")
    assert [reject.path for reject in about["rejects"]] == ["source/0007.png"]
    assert describe(tree["text"])["template_texts"] == ["a [b]{}[/b]"]
    assert describe(tree["scores"])["method"] == "zero_shot"
    console = Console(width=200, file=io.StringIO())
    for path in tree.values():
        console.print(render(path))
    text = console.file.getvalue()
    words = ("20 x 16, float16", "source/0007.png: not a", "fake", "50", "a [b]{}[/b]")
    for word in (*words, "good", "2 x 3 x 4, float32", "zero_shot", "0, 7", "4 x 4, float32"):
        assert word in text


def test_inspect_tells_of_damage(tree: Tree, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(64, 512))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    made_with = Provenance("fake", "ab" * 32, "random", "8 x 8", "float32", "float16", 50.0, 512)
    path = tmp_path / "large.h5"
    write_images(path, made_with, np.arange(64), rows, [], rows_key="r", domain="source")
    flip(path, rows[40].tobytes())
    found = describe(path)
    assert (found["backbone"], found["rejects"]) == ("fake", [])
    assert "rows 32 to 47 do not match their checksum" in found["checksum"]
    # Of a small file the attributes are in the damaged block.
    with h5py.File(tree["first"]) as file:
        flip(tree["first"], file["features"][5].tobytes())
    with pytest.raises(StoreError, match=r"first\.h5 is damaged"):
        describe(tree["first"])
    with pytest.raises(StoreError, match="is missing"):
        describe(tree["first"].with_name("third.h5"))


def test_a_whole_tree_has_no_problems(tree: Tree, tmp_path: Path) -> None:
    assert verify_tree(tmp_path / "cache") == ([], 5)
    with pytest.raises(StoreError, match="not a folder"):
        verify_tree(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="no cached HDF5 file"):
        verify_tree(tmp_path / "empty")


def test_every_problem_is_named_with_the_way_out(tree: Tree, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name, data in (("text", "features"), ("scores", "top_logit"), ("similarity", "similarity")):
        with h5py.File(tree[name]) as file:
            chunked = file[data].chunks is not None
            flip(
                tree[name],
                file[data].id.read_direct_chunk((0, 0))[1] if chunked else file[data][0].tobytes(),
            )
    tree["second"].write_bytes(tree["second"].read_bytes()[:-100])
    (cache / "images" / ".third.h5.77.tmp").write_bytes(b"half")
    (cache / "notes.h5").write_text("hello")
    problems = {problem.path.name: problem for problem in verify_tree(cache)[0]}
    assert set(problems) == {
        "classes.h5",
        "scores.h5",
        "similarity.h5",
        "second.h5",
        ".third.h5.77.tmp",
        "notes.h5",
    }
    assert "extract-text" in problems["classes.h5"].error.hint
    assert "all train" in problems["scores.h5"].error.hint
    assert "all graph" in problems["similarity.h5"].error.hint
    assert "second.h5 is damaged: it does not end in its checksums" in str(
        problems["second.h5"].error
    )
    assert "killed" in problems[".third.h5.77.tmp"].error.message
    assert "another program" in problems["notes.h5"].error.message
    assert all(problem.error.hint for problem in problems.values())
    assert [name for name, problem in problems.items() if problem.unfinished] == [
        ".third.h5.77.tmp"
    ]


@pytest.mark.parametrize("kind", ["first", "text", "scores", "similarity"])
def test_every_flipped_bit_of_every_kind_is_found(tree: Tree, kind: str) -> None:
    path = tree[kind]
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for at in random.integers(0, len(whole), size=120).tolist():
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="is damaged"):
            verify_file(path)


def test_what_may_still_be_written_is_not_set_aside(tree: Tree, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    writing = cache / "images" / ".third.h5.77.tmp"
    writing.write_bytes(b"half")
    (cache / "notes.h5").write_text("hello")
    done = CliRunner().invoke(app, ["verify", str(cache), "--set-aside"])
    assert done.exit_code == 1
    assert done.stdout.count("set aside as") == 1 and "notes.h5.damaged" in done.stdout
    assert writing.exists() and not (cache / "notes.h5").exists()


def test_scores_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "scores.h5"
    written = make_scores(path)
    found = read_scores(path, "0123456789ab")
    assert (found.seeds, found.classes, found.method) == ((0, 7), written.classes, "zero_shot")
    for name in ("row_id", "ok", "known"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
    for one, other in zip(found.runs, written.runs, strict=True):
        assert all(np.array_equal(getattr(one, n), v) for n, v in vars(other).items())
    with pytest.raises(StoreError, match="made from something else") as caught:
        read_scores(path, "another")
    assert "all train" in caught.value.hint
