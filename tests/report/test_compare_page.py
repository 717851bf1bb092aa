"""The page that compares runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import binomtest

from sreclip.errors import SreclipError
from sreclip.plan.plan import Plan
from sreclip.provenance.runs import Run, read_run
from sreclip.report.changed_images import find_changes
from sreclip.report.compare_page import compare_page, write_comparison
from sreclip.report.compared import Side, class_changes, class_notes, read_sides
from sreclip.report.numbers import format_p
from sreclip.report.page import write_page
from sreclip.report.publish import publish
from tests.report import test_page
from tests.report.test_page import Parsed, section

COLUMNS = ["method", "path", "class", "probability", "label"]


@pytest.fixture(scope="module")
def runs(
    make_results: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Two published projects with the same images and other seeds."""
    folders = []
    for seeds in ((0, 1), (5, 6)):
        folder = tmp_path_factory.mktemp(f"seeds{seeds[0]}")
        plan = make_results(folder, seeds=seeds, steps=4)
        write_page(plan)
        publish(plan)
        folders.append(folder)
    return folders[0], folders[1]


@pytest.fixture
def page(runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """The page of both, made in the folder of the second."""
    monkeypatch.chdir(runs[1])
    return compare_page([str(runs[0]), "."])


def metric(folder: Path, method: str, name: str) -> float:
    metrics = json.loads((folder / "reports/metrics.json").read_text())
    return float(metrics["folder"]["mini"][method][name]["mean"])


def test_parameters_and_numbers_stand_side_by_side(runs: tuple[Path, Path], page: str) -> None:
    assert "train.seeds [0, 1] [5, 6]" in section(page, "params")
    text = section(page, "numbers")
    a, b = (metric(folder, "sre_clip", "h") for folder in runs)
    for value in (a, b):
        assert f"{100 * value:.0f}" in text
    assert f"{100 * (b - a):+.1f}".replace("-", "\N{MINUS SIGN}") in text
    assert "A: SRE-CLIP is best" in page
    assert "B: SRE-CLIP is best" in page
    assert "Data: the same" in section(page, "made")


def test_the_same_results_elsewhere_do_not_differ(runs: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(runs[0] / "reports", tmp_path / "copy")
    a, b = read_sides([read_run(str(folder)) for folder in (runs[0], tmp_path / "copy")])
    rows = class_changes(a, b, "sre_clip")
    assert rows is not None
    assert set(rows["gain"]) == {0.0}
    assert rows["images"].tolist() == [8] * 8
    found = find_changes(a, b, "sre_clip")
    assert found is not None
    assert (found.n_common, len(found.rows), found.p) == (63, 0, "\N{EN DASH}")
    page = compare_page([str(runs[0]), str(tmp_path / "copy")])
    assert "All parameters are the same." in section(page, "params")
    assert "no image changed its class" in section(page, "images")


def test_changed_images_are_shown_where_they_are_at_hand(page: str) -> None:
    text = section(page, "images")
    assert "SRE-CLIP, A → B 63" in text
    assert "right → wrong SRE-CLIP, A → B, all" in text
    images = [attributes for tag, attributes in Parsed(page).elements if tag == "img"]
    assert images
    assert all(image["src"].startswith("data:image/") for image in images)


def test_elsewhere_the_paths_are_shown(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = compare_page([str(folder / "reports") for folder in runs])
    assert "<img" not in page
    assert 'class="no-image"><code>target/' in page


def test_the_page_is_as_safe_as_the_results_page(page: str, runs: tuple[Path, Path]) -> None:
    test_page.test_nothing_is_loaded_from_elsewhere(page)
    test_page.test_the_policy_allows_the_pages_own_scripts_alone(page)
    assert compare_page([str(runs[0]), "."]) == page
    ids = Parsed(page).ids()
    assert len(ids) == len(set(ids))


def test_three_runs(runs: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(runs[1] / "reports", tmp_path / "third")
    write_comparison(
        [*(str(folder) for folder in runs), str(tmp_path / "third")], tmp_path / "new/page.html"
    )
    page = (tmp_path / "new/page.html").read_text()
    assert "train.seeds [0, 1] [5, 6] [5, 6]" in section(page, "params")
    assert "SRE-CLIP, A → C 63" in section(page, "images")
    assert len(Parsed(page).views("classes-figure")) == 6


def frame(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Path, class and label of images, all of the method m."""
    return pd.DataFrame(
        [("m", path, name, 0.5, label) for path, name, label in rows], columns=COLUMNS
    )


def side(
    letter: str, predictions: pd.DataFrame | None, classes: pd.DataFrame | None = None
) -> Side:
    return Side(letter, Run(letter, letter), classes, predictions)


def test_changes_are_counted_by_what_the_labels_say() -> None:
    same = ("same", "cat", "cat")
    a = frame(
        same,
        ("worse", "cat", "cat"),
        ("better", "dog", "cat"),
        ("other", "dog", "cat"),
        ("bare", "dog", ""),
        ("none", "dog", "none of these"),
        ("relabelled", "dog", "dog"),
        ("gone", "cat", "cat"),
        ("unread", "", "cat"),
    )
    b = frame(
        same,
        ("worse", "dog", "cat"),
        ("better", "cat", "cat"),
        ("other", "owl", "cat"),
        ("bare", "cat", ""),
        ("none", "cat", "none of these"),
        ("relabelled", "cat", "cat"),
        ("unread", "cat", "cat"),
    )
    found = find_changes(side("A", a), side("B", b), "m")
    assert found is not None
    kinds = dict(zip(found.rows["path"], found.rows["kind"], strict=True))
    assert kinds == {
        "worse": "worse",
        "better": "better",
        "other": "other",
        "bare": "unlabelled",
        "none": "other",
        "relabelled": "better",  # by the label of the second run
    }
    assert found.n_common == 7
    assert found.n_alone == (1, 1)
    assert found.p == format_p(binomtest(1, 3).pvalue)
    assert find_changes(side("A", a), side("B", None), "m") is None


def test_one_sided_changes_are_not_luck() -> None:
    a = frame(*((str(i), "cat", "cat") for i in range(12)))
    b = frame(*((str(i), "dog", "cat") for i in range(12)))
    found = find_changes(side("A", a), side("B", b), "m")
    assert found is not None
    assert found.p == format_p(binomtest(0, 12).pvalue) == "<0.001"


def test_other_classes_are_left_out_and_named() -> None:
    columns = ["method", "class", "known", "accuracy"]
    a = pd.DataFrame([("m", "cat", 1, 0.5), ("m", "dog", 1, 0.2)], columns=columns)
    b = pd.DataFrame([("m", "cat", 0, 0.75), ("m", "owl", 0, 0.2)], columns=columns)
    sides = [side("A", None, a), side("B", None, b)]
    rows = class_changes(*sides, "m")
    assert rows is not None
    assert rows["name"].tolist() == ["cat"]
    assert rows["gain"].tolist() == [0.25]
    assert "images" not in rows
    alone_a, alone_b, moved = class_notes(sides)
    assert "A has classes that not all runs have" in alone_a
    assert alone_a.endswith(": dog")
    assert alone_b.endswith(": owl")
    assert moved.endswith(": cat")
    assert class_changes(*sides, "other") is None


def test_another_task_is_said_and_compared_as_far_as_it_goes(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(runs[0] / "reports", tmp_path / "reports")
    (tmp_path / "reports/predictions.csv").unlink()
    for name in ("metrics.json", next((tmp_path / "reports").glob("made-from/*.json")).name):
        path = next((tmp_path / "reports").rglob(name))
        path.write_text(path.read_text().replace('"folder": {\n    "mini"', '"pets": {\n    "ViT"'))
    page = compare_page([str(tmp_path / "reports"), str(runs[1])])
    assert "A: pets, ViT." in Parsed(page).text
    assert "a difference says little" in Parsed(page).text
    assert "The predictions of A are not at hand" in section(page, "images")
    assert len(Parsed(page).views("classes-figure")) == 3


def test_images_at_other_paths_are_others(runs: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(runs[0] / "reports", tmp_path / "reports")
    path = tmp_path / "reports/predictions.csv"
    path.write_text(path.read_text().replace("target/", "elsewhere/"))
    page = compare_page([str(tmp_path / "reports"), str(runs[1])])
    text = section(page, "images")
    assert "no image, by its path, is in both runs" in text
    assert "63 images of A and 63 images of B are in one run alone" in text


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["."], "one run alone"),
        ([".", "reports"], "are one run"),
        (["."] * 9, "too many for one page"),
        ([".", "nowhere"], "neither a file or folder nor a revision"),
        ([".", "empty"], "holds neither metrics.json nor reports/metrics.json"),
        ([".", "a.yaml"], "holds parameters and no results"),
        ([".", "damaged"], r"tables/per_class.csv cannot be read"),
    ],
)
def test_what_cannot_be_compared(
    runs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    said: str,
) -> None:
    shutil.copytree(runs[0] / "reports", tmp_path / "reports")
    shutil.copytree(runs[1] / "reports", tmp_path / "damaged")
    (tmp_path / "damaged/tables/per_class.csv").write_text("method,class\na,b,c,d\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.yaml").write_text("train: {seeds: [1]}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SreclipError, match=said) as error:
        write_comparison(names)
    assert error.value.hint
    assert not (tmp_path / "reports/compare.html").exists()


def test_numbers_without_anything_else(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"folder": {"mini": {"zero_shot": {}}}}))
    page = compare_page([str(runs[0]), str(tmp_path / "metrics.json")])
    assert "The parameters are not known of all runs" in section(page, "params")
    assert "B: no target image has a label" in Parsed(page).text
    assert "is not at hand" in section(page, "classes")
