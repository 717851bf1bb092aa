"""The line that names the file of labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from sreclip.config import load_params
from sreclip.labelling.setting import name_labels


@pytest.mark.parametrize(
    "text",
    [
        "train: {seeds: [0]}  # short\n",
        "train: {seeds: [0]}",
        "evaluate:\n  # bins\n  ece_bins: 7   # few\ntrain: {seeds: [0]}\n",
        "evaluate:\n    ece_bins: 7\n    labels: old.csv # mine\n",
        "evaluate:\n  labels:\n  ece_bins: 7\n",
        "evaluate:\n  labels: null\n",
    ],
)
def test_it_is_added_and_the_rest_stays(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    before = load_params(path)
    assert name_labels(path, Path("labels/a b.csv"))
    after = load_params(path)
    assert after.evaluate.labels == "labels/a b.csv"
    without = {"evaluate": before.evaluate.model_copy(update={"labels": "labels/a b.csv"})}
    assert after == before.model_copy(update=without)
    assert all(line in path.read_text() for line in text.splitlines() if "labels" not in line)


@pytest.mark.parametrize("text", ["evaluate: {ece_bins: 7}\n", "evaluate:\n"])
def test_what_is_written_otherwise_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert not name_labels(path, Path("labels.csv"))
    assert path.read_text() == text
