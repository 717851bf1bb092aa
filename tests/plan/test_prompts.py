"""Sentences and synonyms of classes: what is read, what is refused, which keys they change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sreclip.config.load import parse_params
from sreclip.data.manifest import ClassEntry
from sreclip.errors import ConfigError, DataError
from sreclip.features.planned import extract_names, read_names
from sreclip.plan.check import check_plan
from sreclip.plan.plan import Plan
from sreclip.plan.prompt_file import read_prompts

NAMES = ["cat", "polar bear", "car"]
TEMPLATES = ["a {}.", "the {}"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan_with(folder: Path = Path(), **prompts: Any) -> Plan:
    """Return a plan of three classes that is prepared as far as texts go."""
    plan = Plan(parse_params({"prompts": {"templates": TEMPLATES} | prompts}), folder)
    classes = [ClassEntry(name, (name,), None) for name in NAMES]
    vars(plan).update(classes=classes, summary={})
    return plan


def write(text: str | bytes, name: str = "p.csv") -> str:
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


def test_both_forms_are_read_alike() -> None:
    write('\ufeffprompt, class\n"it purrs, softly", cat\n\na  pet,cat\nit is white,polar_bear\n')
    write("cat:\n- it purrs, softly\n- a pet\npolar_bear: it is white\n", "p.yml")
    rows = [tuple(each) for each in read_prompts(Path("p.csv"))]
    assert rows == [
        ("cat", "it purrs, softly", "line 2"),
        ("cat", "a pet", "line 4"),
        ("polar_bear", "it is white", "line 5"),
    ]
    assert [each[:2] for each in read_prompts(Path("p.yml"))] == [each[:2] for each in rows]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.txt", "cat", "p.txt: prompts are read from .csv, .yaml and .yml"),
        ("p.csv", b"class,prompt\ncat,\xe9", "cannot be read (it is not UTF-8 text)"),
        ("p.csv", "", "line 1: the columns are missing, not class and prompt"),
        ("p.csv", "name,prompt\ncat,a", "line 1: the columns are name, prompt, not class and"),
        ("p.csv", "class,prompt\n", "has no sentence"),
        ("p.csv", "class,prompt\ncat,it purrs, softly\n", "line 2: 3 values, not 2"),
        ("p.csv", 'class,prompt\ncat,"a', "line 2: unexpected end of data"),
        ("p.csv", "class,prompt\ncat,\n,a\n", "line 2: the sentence of 'cat' is empty, line 3: no"),
        (
            "p.csv",
            "class,prompt\ncat,a\ncar,a\ncat,a\n",
            "line 4: the same sentence of 'cat' as in",
        ),
        ("p.csv", "class,prompt\ncat,a {}\n", "line 2: {} belongs into prompts.templates"),
        ("p.yaml", "cat: [", "p.yaml is not valid YAML"),
        ("p.yaml", "- cat", "is not a mapping of classes"),
        ("p.yaml", "", "has no sentence"),
        ("p.yaml", "car: a\ncat: []", "line 2: class 'cat' has no sentence"),
        ("p.yaml", "car: a\ncat:", "line 2: not a sentence of a class"),
        ("p.yaml", "cat:\n- a\n- 3", "line 3: not a sentence of a class"),
        ("p.yaml", "cat: a\ncat: a", "line 2: the same sentence"),
    ],
)
def test_files_that_cannot_be_used(name: str, content: str | bytes, said: str) -> None:
    write(content, name)
    with pytest.raises(DataError) as caught:
        read_prompts(Path(name))
    assert said in caught.value.message
    assert caught.value.hint


def test_a_file_that_is_missing() -> None:
    with pytest.raises(DataError, match=r"p\.csv: the file of prompts cannot be read"):
        _ = plan_with(file="p.csv").class_prompts


def test_classes_and_synonyms_that_there_are_not() -> None:
    write("class,prompt\ncat,a\ncrs,b\nCat,c\n")
    with pytest.raises(DataError) as caught:
        _ = plan_with(file="p.csv").class_prompts
    assert "line 3: no class 'crs' (did you mean 'car'?), line 4: no class 'Cat'" in str(
        caught.value
    )
    with pytest.raises(ConfigError, match=r"prompts.synonyms: no class of this task: 'cta'"):
        _ = plan_with(synonyms={"cta": ["puss"]}).class_prompts


def test_each_class_needs_a_sentence_where_there_is_nothing_else() -> None:
    write("class,prompt\ncat,a\n")
    assert plan_with(file="p.csv").class_prompts.sentences == [("a",), (), ()]
    with pytest.raises(DataError, match="classes without a sentence: polar bear, car"):
        _ = plan_with(file="p.csv", mode="instead").class_prompts


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        ({"mode": "instead"}, "mode: instead needs file"),
        ({"synonyms": {"cat": []}}, "'cat' has no synonym"),
        ({"synonyms": {"cat": [" "]}}, "'cat' has no synonym, or one that is empty"),
        ({"synonyms": {"cat": ["a", "a"]}}, "'cat' has a synonym twice"),
    ],
)
def test_settings_that_are_refused(prompts: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_params({"prompts": prompts})


def test_keys_change_with_what_matters_alone() -> None:
    def keys(**prompts: Any) -> tuple[str, str]:
        plan = plan_with(**prompts)
        return plan.text("classes").key, plan.text("nodes").key

    plain, nodes = keys()
    write("class,prompt\ncat,a pet\ncat,it purrs\nploar bear,white\n".replace("ploar", "polar"))
    beside = keys(file="p.csv")
    assert beside != (plain, nodes)
    assert beside[1] == nodes
    # Rows in another order, another form, another place, more spaces.
    write("polar_bear: white\ncat: [it  purrs, a pet]\n", "other.yaml")
    assert keys(file="other.yaml") == beside
    write("class,prompt\ncat,a pet\ncat,it purrs\npolar bear,white!\n")
    assert keys(file="p.csv")[0] not in (plain, beside[0])
    assert keys(file="p.csv")[1] == nodes
    write("class,prompt\ncat,a pet\ncar,a machine\npolar bear,white!\n")
    instead = keys(file="p.csv", mode="instead")
    # Templates and synonyms are then no part of the class vectors.
    same = keys(file="p.csv", mode="instead", templates=["{}"], synonyms={"cat": ["puss"]})
    assert same[0] == instead[0]
    assert same[1] != nodes
    named = keys(synonyms={"cat": ["puss", "kitten"]})
    assert named[0] != plain
    assert named[1] == nodes
    assert keys(synonyms={"cat": ["kitten", "cat", "puss"]}) == named


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_vectors_of_mini(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sreclip.plan.plan.Plan.graph", plan_with().task)
    write("class,prompt\ncat,it purrs\ncat,a pet\npolar bear,it is white\ncar,it has wheels\n")
    backbone = plan_with().params.backbone.load("cpu")

    def encoded(*texts: str) -> np.ndarray:
        return backbone.encode_text(list(texts)).numpy().astype(np.float64)

    def made(**prompts: Any) -> np.ndarray:
        plan = plan_with(folder, **prompts)
        extract_names(plan, "classes")
        return read_names(plan, "classes").features

    beside = made(file="p.csv")
    expected = encoded("a cat.", "the cat", "it purrs", "a pet").mean(axis=0)
    np.testing.assert_allclose(beside[0], unit(expected), atol=1e-6)
    instead = made(file="p.csv", mode="instead")
    np.testing.assert_allclose(instead[2], encoded("it has wheels")[0], atol=1e-6)
    np.testing.assert_allclose(
        instead[0], unit(encoded("it purrs", "a pet").mean(axis=0)), atol=1e-6
    )
    both = made(file="p.csv", synonyms={"cat": ["puss"]})
    of_names = encoded("a cat.", "a puss.", "the cat", "the puss").reshape(2, 2, -1).mean(axis=1)
    expected = np.concatenate([of_names, encoded("it purrs", "a pet")]).mean(axis=0)
    np.testing.assert_allclose(both[0], unit(expected), atol=1e-6)
    np.testing.assert_array_equal(both[1], beside[1])


def test_check_says_what_is_used(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    from PIL import Image

    for name in NAMES:
        for domain in ("source", "target"):
            (folder / domain / name).mkdir(parents=True)
            color = (NAMES.index(name), domain == "source", 0)
            Image.new("RGB", (8, 8), color).save(folder / domain / name / "a.png")

    def checked(**prompts: Any) -> str:
        caplog.clear()
        task = {"name": "folder", "folder": {"root": str(folder)}}
        with caplog.at_level("INFO", logger="sreclip"):
            check_plan(Plan(parse_params({"task": task, "prompts": prompts})))
        return caplog.text

    write("class,prompt\ncat,a pet\ncat,it purrs\ncar,it has wheels\n")
    said = checked(file="p.csv", synonyms={"cat": ["puss"]})
    assert "prompts: 3 sentences of 2 classes, beside the templates" in said
    assert "note: classes without a sentence: polar bear" in said
    assert "prompts" not in checked()
    write("class,prompt\ncat," + "very " * 300 + "long\n")
    with pytest.raises(ConfigError, match=r"p.csv, line 2: the sentence has \d+ tokens, but mini"):
        checked(file="p.csv")
    write("class,prompt\ncta,a pet\n")
    with pytest.raises(DataError, match="line 2: no class 'cta'"):
        checked(file="p.csv")
    Path("p.csv").unlink()
    with pytest.raises(DataError, match="the file of prompts cannot be read"):
        checked(file="p.csv")
