"""Pages and tables of targets without a label, and with few."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from sreclip.data.label_file import NONE_OF_THESE, give_label
from sreclip.errors import ConfigError, DataError
from sreclip.evaluate.comparison import compare_methods
from sreclip.evaluate.evaluation import evaluate_method
from sreclip.evaluate.stored import read_evaluations
from sreclip.findings.findings import COLUMNS
from sreclip.plan.plan import Plan
from sreclip.plan.results import TABLES
from sreclip.report.labels import judged_rows, label_warnings
from sreclip.report.page import render_page, write_page
from sreclip.report.publish import publish
from sreclip.report.table import TITLES
from sreclip.report.terminal import last_results
from tests.report.conftest import CLASSES, words

BARE = dict.fromkeys(CLASSES, 0)


@pytest.fixture(scope="module")
def bare(make_results: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """No target image has a label."""
    return make_results(tmp_path_factory.mktemp("bare"), labelled=BARE)


def printed(plan: Plan | None, folder: Path = Path()) -> str:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(last_results(plan, folder))
    assert max(map(len, capture.get().splitlines())) <= 80
    return words(capture.get())


def test_without_a_label_predictions_are_counted_and_nothing_is_evaluated(bare: Plan) -> None:
    for evaluation, result in zip(
        read_evaluations(bare.comparison.inputs), bare.comparison.inputs, strict=True
    ):
        assert evaluation.metrics == {}
        assert (evaluation.n_images, evaluation.n_unlabelled) == (0, 64)
        frame = pd.read_parquet(result["predictions.parquet"])
        assert len(frame) == 64
        of_seeds = frame[[f"predicted_seed_{seed}" for seed in evaluation.seeds]].to_numpy()
        for label, count in enumerate(evaluation.predicted["counts"]):
            assert count == pytest.approx((of_seeds == label).sum() / len(evaluation.seeds))
    assert json.loads(bare.comparison["means.json"].read_text()) == {
        "zero_shot": {},
        "clip_adapter": {},
        "sre_clip": {},
    }
    for name in TABLES:
        header = bare.comparison[name].read_text().splitlines()[0]
        assert "," in header, f"{name} has its columns"


def test_the_page_without_a_label_says_what_can_be_said(bare: Plan) -> None:
    page = words(render_page(bare))
    for part in (
        "Which images to label first",
        "Surest and least sure images",
        "What looks odd in the data",
        "If the probabilities of SRE-CLIP are right on average",
    ):
        assert part in page
    assert "No target image has a label" in page
    assert "target/CLASS" in page
    for part in ("Predicted classes", "confidence", "Relation graph", "Training", "Target images"):
        assert part in page
    for absent in ("Confusion matrix", "Gains by class", "Is the difference real?", 'class="tile"'):
        assert absent not in page
    counts = read_evaluations(bare.comparison.inputs)[-1].predicted["counts"]
    assert f"{max(counts):.1f}".removesuffix(".0") in page
    assert "true and predicted" not in page


def test_results_without_a_label_say_so_and_what_to_do(bare: Plan, tmp_path: Path) -> None:
    said = printed(bare)
    for part in ("no target image has a label", "target/CLASS", "SRE-CLIP", "Agreement"):
        assert part in said
    write_page(bare)
    publish(bare)
    shutil.copytree(bare.reports, tmp_path / "reports")
    said = printed(None, tmp_path)
    assert "no target image has a label" in said
    assert TITLES["ausuc"] not in said


@pytest.mark.parametrize(
    "changes", [{"selection": "oracle"}, {"evaluate": {"protocol": "reference"}}]
)
def test_what_needs_labels_is_refused_without_them(
    make_results: Callable[..., Plan], tmp_path: Path, changes: dict
) -> None:
    with pytest.raises(ConfigError, match="no target image has a label") as caught:
        make_results(tmp_path, labelled=BARE, per_class=2, steps=2, **changes)
    assert caught.value.hint


def test_few_labels_are_warned_of_and_make_no_headline(
    make_results: Callable[..., Plan], tmp_path: Path
) -> None:
    """Two labelled images of unknown classes; all 5 x 8 of known ones but a few of one class."""
    few = {"owl": 1, "pear": 1, "axe": 0, "saw": 4}
    plan = make_results(tmp_path, labelled=few)
    page, said = words(render_page(plan)), printed(plan)
    for text in (page, said):
        assert "2 labelled target images are of unknown classes" in text
        assert "fewer than 5 labelled target images: saw, owl, pear" in text
    tiles = page.partition('<div class="tiles">')[2].partition("<noscript>")[0]
    assert "Known" in tiles
    for title in ("Unknown", "H", "AUSUC"):
        assert f"<dt>{title}</dt>" not in tiles
    write_page(plan)
    publish(plan)
    shutil.copytree(plan.reports, tmp_path / "elsewhere/reports")
    assert "2 labelled target images are of unknown classes" in printed(
        None, tmp_path / "elsewhere"
    )


def test_the_rule_of_few_labels() -> None:
    names, known = ["a", "b", "c"], [True, True, False]
    assert label_warnings(names, known, [25, 5, 30]) == []
    only = label_warnings(names, known, [24, 5, 30])
    assert len(only) == 1 and only[0].startswith("29 labelled target images are of known classes")
    assert any("unknown" in line for line in label_warnings(names, known, [25, 5, 29]))
    assert label_warnings(names, known, [26, 4, 30]) == [
        "1 class has fewer than 5 labelled target images: b; a class counts as much as any other "
        "in a mean over classes"
    ]
    assert label_warnings(names, known, [30, 5, 0]) == [], "no image of a kind has no number"


def test_an_evaluation_of_one_label_still_evaluates(
    make_results: Callable[..., Plan], tmp_path: Path
) -> None:
    plan = make_results(tmp_path, labelled=BARE | {"dog": 2}, per_class=3, steps=2, n_broken=0)
    evaluate_method(plan, "zero_shot")
    found = read_evaluations(plan.comparison.inputs)[0]
    assert found.n_images == 2
    assert set(found.metrics) >= {"known", "all"}
    assert "1 class" not in render_page(plan) or "fewer than 5" in render_page(plan)


def labelled_by_hand(plan: Plan, labels: dict[str, str]) -> Plan:
    """Return the plan with a file of labels, evaluated."""
    file = plan.folder / "labels.csv"
    file.unlink(missing_ok=True)
    for image, name in labels.items():
        give_label(file, image, name)
    evaluate = plan.params.evaluate.model_copy(update={"labels": str(file)})
    changed = plan.changed(evaluate=evaluate)
    for method in changed.params.methods.run:
        evaluate_method(changed, method)
    compare_methods(changed)
    return changed


def test_labels_by_hand_are_evaluated(bare: Plan, tmp_path: Path) -> None:
    rows = pd.read_parquet(bare.evaluation("sre_clip")["predictions.parquet"])
    rows = rows[rows["predicted"] >= 0]
    names = list(CLASSES)
    right, other = rows.iloc[:12], rows.iloc[12:20]
    labels = {row.path: names[row.predicted] for row in right.itertuples()}
    labels |= {row.path: names[(row.predicted + 1) % 8] for row in other.iloc[:5].itertuples()}
    labels |= {row.path: NONE_OF_THESE for row in other.iloc[5:].itertuples()}
    plan = labelled_by_hand(bare, labels)
    assert plan.evaluation("sre_clip").key != bare.evaluation("sre_clip").key
    assert plan.fit("sre_clip").key == bare.fit("sre_clip").key
    found = read_evaluations(plan.comparison.inputs)[-1]
    assert (found.n_images, found.n_none, found.n_unlabelled) == (17, 3, 64 - 20)
    page, said = words(render_page(plan)), printed(plan)
    # With the first of three seeds twelve are right; the others differ little.
    judged = judged_rows([found], 0.95)[0]
    assert judged.n == 20
    assert abs(judged.right - 12) < 3
    assert "Right on the labelled images" in page
    assert "3 such images here" in page
    assert "right of 20 labelled images" in said
    write_page(plan)
    table = pd.read_csv(plan.page["predictions.csv"])
    own = table[table["method"] == "sre_clip"].set_index("path")["label"]
    assert {path: own[path] for path in labels} == labels
    first = pd.read_csv(plan.page["findings.csv"]).query("finding == 'label first'")["path"]
    assert len(first) == 20
    assert not set(first) & set(labels)


def test_a_label_of_another_image_is_refused(bare: Plan) -> None:
    with pytest.raises(DataError, match=r"labels\.csv: no target image: target/dgo\.png"):
        labelled_by_hand(bare, {"target/dgo.png": "dog"})


def test_findings_are_those_of_the_predictions(bare: Plan) -> None:
    write_page(bare)
    rows = pd.read_parquet(bare.evaluation("sre_clip")["predictions.parquet"])
    table = pd.read_csv(bare.page["findings.csv"])
    first = table[table["finding"] == "label first"]["path"]
    assert len(first) == len(set(first)) == 20
    assert set(first) <= set(rows[rows["predicted"] >= 0]["path"])


def test_a_labelled_target_is_not_searched(plan: Plan) -> None:
    write_page(plan)
    assert plan.page["findings.csv"].read_text().splitlines() == [",".join(COLUMNS)]
    assert "Which images to label first" not in render_page(plan)
