"""Parameters: what is refused, and how it is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sreclip.config import dump_params, load_params, parse_params, read_values
from sreclip.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"trian": {}}, ["trian: unknown key", "did you mean 'train'?"]),
        ({"train": {"seed": [1]}}, ["train.seed: unknown key", "did you mean 'seeds'?"]),
        (
            {"methods": {"sre_clip": {"learning_rate": 1}}},
            ["methods.sre_clip.learning_rate: unknown key", "lr"],
        ),
        ({"train": {"seeds": "many"}}, ["train.seeds:", "valid list", "'many'"]),
        ({"train": {"seeds": [1, 1]}}, ["train.seeds:", "distinct"]),
        ({"features": {"batch_size": 0}}, ["features.batch_size:", "greater than or equal", "0"]),
        ({"features": {"dtype": "float61"}}, ["features.dtype:", "'float16'", "did you mean"]),
        (
            {"backbone": {"name": "open-clip"}},
            ["backbone.name:", "'mini', 'open_clip' or 'precomputed'", "did you mean 'open_clip'?"],
        ),
        (
            {"evaluate": {"protocol": "referense"}},
            ["evaluate.protocol:", "'ours'", "did you mean 'reference'?", "'referense'"],
        ),
        ({"train": {"checkpoints": -1}}, ["train.checkpoints:", "greater than or equal", "-1"]),
        ({"task": {"name": "folders"}}, ["task.name:", "did you mean 'folder'?"]),
        ({"task": {"name": "folder"}}, ["task.folder.root"]),
        ({"task": {"openmoji": {"image_size": 5000}}}, ["task.openmoji.image_size", "1024"]),
        ({"task": {"pacs": {"source": "phot"}}}, ["task.pacs.source", "did you mean 'photo'?"]),
        ({"backbone": {"mini": {"size": 3}}}, ["backbone.mini.size: unknown key"]),
        (
            {"backbone": {"open_clip": {"precision": "int8"}}},
            ["backbone.open_clip.precision:", "'float32'", "'int8'"],
        ),
        ({"methods": {"run": ["sre-clip"]}}, ["methods.run:", "did you mean 'sre_clip'?"]),
        ({"methods": {"run": ["zero_shot", "zero_shot"]}}, ["methods.run:", "twice"]),
        ({"prompts": {"templates": ["a photo"]}}, ["prompts.templates:", "{}"]),
        ({"report": {"colors": {"known": "no;}"}}}, ["report.colors.known:", "'no;}'"]),
        ({"report": {"colors": {"know": "teal"}}}, ["report.colors.know:", "mean 'known'?"]),
        ({"split": {"unknown": -1}}, ["split.unknown", "negative"]),
        ({"methods": {"sre_clip": {"lr": float("nan")}}}, ["methods.sre_clip.lr"]),
    ],
)
def test_refuses_and_says_why(values: dict, said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_params(values)
    for words in said:
        assert words in str(caught.value)


def test_lists_every_problem_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_params({"trian": {}, "features": {"workers": -1}})
    assert "trian" in str(caught.value)
    assert "features.workers" in str(caught.value)


def test_committed_parameters_are_valid_and_survive_a_round_trip() -> None:
    params = load_params(ROOT / "params.yaml")
    assert parse_params(yaml.safe_load(dump_params(params))) == params


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: [", "not valid YAML"),
        ("train:\n<<<<<<< HEAD\n  seeds: [1]\n", "line 2: a merge marker"),
        ("- a\n- b\n", "(top)"),
        (
            "train:\n  device: cuda\n  seeds: [1]\n  device: cpu\n",
            "line 4: 'device' is in line 2",
        ),
    ],
)
def test_broken_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_params(path)
    assert said in str(caught.value)
    assert "params.yaml" in str(caught.value)


def test_a_mapping_that_is_merged_in_may_be_gone_over(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\n")
    assert read_values(path) == {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}}


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_params(tmp_path / "none.yaml")
