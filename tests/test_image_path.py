"""The figure and the page about the path of an image say what the code does."""

from __future__ import annotations

import ast
import re

import open_clip
import pytest

from sreclip.config.models import FeatureSettings
from sreclip.config.tasks import TaskSettings
from sreclip.methods.scores import TOP
from sreclip.provenance.stamps import PUBLISHED
from sreclip.refinement.candidates import MOST_CANDIDATES
from tests.scripts import ROOT, script

drawing = script("draw_image_path")
STEPS = [step for steps in drawing.JOBS.values() for step in steps]
BY_TITLE = {step.title: step for step in STEPS}


def test_committed_figure_and_page_are_what_the_table_makes() -> None:
    again = "run: python scripts/draw_image_path.py"
    assert (ROOT / "docs/image-path.svg").read_text() == drawing.draw(), again
    assert (ROOT / "docs/image-path.md").read_text() == drawing.page(), again


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.title)
def test_each_function_is_there(step) -> None:
    path, _, name = step.code.partition(" ")
    found = ast.parse((ROOT / "sreclip" / path).read_text()).body
    for part in name.split("."):
        (node,) = [each for each in found if getattr(each, "name", None) == part]
        found = node.body
    assert isinstance(node, ast.FunctionDef)


@pytest.mark.parametrize("rule", [*drawing.JOBS, "make_bundle"])
def test_each_rule_is_there(rule: str) -> None:
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert re.search(rf"^(rule|checkpoint) {rule}:$", rules, flags=re.MULTILINE)


@pytest.mark.parametrize(
    "step", [step for step in STEPS if step.place], ids=lambda step: step.title
)
def test_each_file_is_where_results_are(step) -> None:
    """The committed stamp names all results of the demo."""
    (stamp,) = (ROOT / "reports/made-from").glob("*.json")
    if step.place.startswith("reports/"):
        assert step.place.removeprefix("reports/") in PUBLISHED
        return
    pattern = step.place.replace("TASK", "openmoji").replace("MODEL", "mini")
    pattern = re.escape(pattern).replace("METHOD", "[a-z_]+").replace("KEY", "[0-9a-f]{12}")
    folder, _, name = pattern.rpartition("/")
    named = set(re.findall(r'"(results/[^"]+)"', stamp.read_text()))
    result = pattern if name.startswith("[") else folder
    assert any(re.fullmatch(result, each) for each in named), result
    if result == folder:
        code = "".join(path.read_text() for path in (ROOT / "sreclip").rglob("*.py"))
        rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
        name = step.place.rpartition("/")[2]
        assert f'"{name}"' in code or f"/{name}" in rules


def test_sizes_are_those_of_vit_b_32() -> None:
    config = open_clip.get_model_config("ViT-B-32")
    vision, dim = config["vision_cfg"], config["embed_dim"]
    size, patch, width = vision["image_size"], vision["patch_size"], vision["width"]
    patches = (size // patch) ** 2
    assert BY_TITLE["Transform"].shape == f"3 x {size} x {size}, uint8"
    encoder = BY_TITLE["Image encoder"]
    assert encoder.short == f"{patches + 1} tokens of width {width} become one vector."
    assert f"{patches} patches of {patch} x {patch} pixels" in encoder.text
    assert f"each {width} wide" in encoder.text and f"to {dim} numbers" in encoder.text
    assert encoder.shape == f"{dim}, float32, length 1"
    stored = FeatureSettings.model_fields["dtype"].default
    assert BY_TITLE["Feature row"].shape == f"{dim}, {stored}"
    assert BY_TITLE["Read back"].shape == f"n target x {dim}"


def test_other_sizes_are_those_of_the_code() -> None:
    shard_size = TaskSettings.model_fields["shard_size"].default
    assert BY_TITLE["Shard"].shape == f"about {shard_size:,} rows"
    assert BY_TITLE["Refinement"].shape == f"at most {MOST_CANDIDATES} classes"
    assert BY_TITLE["Scores"].shape.startswith(f"{TOP} best,")
