"""The task: what it makes of files, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from sreclip.config.load import parse_params
from sreclip.data.changes import is_outdated, write_seen
from sreclip.data.manifest import read_manifest, read_target_labels
from sreclip.data.tasks import load_task
from sreclip.errors import ConfigError, DataError
from sreclip.plan.fingerprints import backbone_key
from sreclip.plan.plan import Plan

MakePlan = Callable[..., Plan]


def test_rows_keep_the_order_of_the_matrix(plan_of: MakePlan) -> None:
    plan = plan_of()
    rows = read_manifest(plan.task.path)
    assert rows["offset"].tolist() == [*range(40), *range(40)]
    assert rows["member"].tolist()[9:12] == ["9", "10", "11"]
    assert rows["label"][:40].tolist() == np.repeat(range(4), 10).tolist()
    assert rows["label"][40:].isna().all()
    target = read_target_labels(plan.task.path, rows["row_id"][40:])
    assert target.tolist() == np.repeat(range(4), 10).tolist()
    assert plan.summary["images"] == {"source": 40, "target": 40}


def test_the_same_numbers_in_another_format_are_the_same_rows(
    plan_of: MakePlan, root: Path
) -> None:
    expected = read_manifest(plan_of().task.path)["sha256"].tolist()
    rows = np.load(root / "source.npy")
    np.save(root / "other.npy", np.asfortranarray(rows.astype(">f8")))
    with h5py.File(root / "other.h5", "w") as file:
        file["x"] = rows.astype(">f4")
    for place in ("other.npy", "other.h5"):
        plan = plan_of(source=place)
        assert read_manifest(plan.task.path)["sha256"].tolist() == expected
    assert any("float64" in note for note in plan_of(source="other.npy").summary["notes"])


def test_labels_and_ids_from_a_table(plan_of: MakePlan, root: Path) -> None:
    names = ["cat", "dog", "horse", "car"]
    labels = np.repeat(names, 10).tolist()
    ids = [f"pictures/{number:03d}.jpg" for number in range(40)]
    frame = pd.DataFrame({"image_path": ids, "label": labels, "number": [None, *range(39)]})
    frame.loc[3, "label"] = None
    frame.to_parquet(root / "target.parquet")
    plan = plan_of(target_labels="target.parquet:label", target_ids="target.parquet:image_path")
    rows = read_manifest(plan.task.path)[40:]
    assert rows["member"].tolist() == ids
    found = read_target_labels(plan.task.path, rows["row_id"])
    assert found.tolist()[:5] == [0, 0, 0, -1, 0]
    assert plan.summary["target_labels"] == 39


def save(name: str, values: Any) -> Callable[[Path], None]:
    return lambda root: np.save(root / name, values)


def change(name: str, edit: Callable[[np.ndarray], Any]) -> Callable[[Path], None]:
    return lambda root: np.save(root / name, edit(np.load(root / name)))


def with_nan(rows: np.ndarray) -> np.ndarray:
    rows[[17, 30], 2] = np.nan
    return rows


@pytest.mark.parametrize(
    ("spoil", "settings", "message"),
    [
        (change("source_labels.npy", lambda x: x + 1), {}, "row 30 has the label 4, but the 4"),
        (change("source_labels.npy", lambda x: x[:-1]), {}, "39 labels for 40 rows"),
        (change("source_labels.npy", lambda x: x - 1), {}, "10 source rows have no label"),
        (change("source_labels.npy", lambda x: x.astype(float)), {}, "no list of labels or names"),
        (change("target.npy", lambda x: x[:, :8]), {}, "rows of 16 numbers, .* of 8"),
        (change("target.npy", lambda x: x[:0]), {}, "no row: the target domain is empty"),
        (change("target.npy", with_nan), {}, "2 of 40 rows are not finite.*the first is row 17"),
        (change("text.npy", lambda x: x[:3]), {}, "3 text vectors for 4 classes"),
        (change("text.npy", lambda x: x[:, :8]), {}, "vectors of 8 numbers, the features have 16"),
        (change("text.npy", lambda x: 0 * x), {}, "row 0 is not finite or zero"),
        (
            save("ids.npy", [f"{number % 39}.jpg" for number in range(40)]),
            {"source_ids": "ids.npy"},
            "'0.jpg' names both row 0 and row 39",
        ),
        (
            save("named.npy", ["cat", "dgo", *["dog"] * 38]),
            {"source_labels": "named.npy"},
            "row 1 has the label 'dgo', which is no class .did you mean 'dog'",
        ),
        (lambda root: None, {"root": "/nowhere"}, "there is no such folder"),
    ],
)
def test_refuses_and_says_why(
    plan_of: MakePlan,
    root: Path,
    spoil: Callable[[Path], None],
    settings: dict[str, str],
    message: str,
) -> None:
    spoil(root)
    with pytest.raises(DataError, match=message):
        plan_of(**settings)


def test_files_that_name_two_models(plan_of: MakePlan, root: Path) -> None:
    for name, model in (("source", "ViT-B-32-openai"), ("text", "ViT-B-16-openai")):
        with h5py.File(root / f"{name}.h5", "w") as file:
            file["features"] = np.load(root / f"{name}.npy")
            file.attrs.update(backbone=model, logit_scale="100.0")
    with pytest.raises(DataError, match=r"made by ViT-B-32-openai, .*text.h5:features by ViT-B-16"):
        plan_of(source="source.h5", text="text.h5")


def test_labels_that_start_at_one(plan_of: MakePlan, root: Path) -> None:
    change("source_labels.npy", lambda labels: labels + 1)(root)
    with pytest.raises(DataError) as caught:
        plan_of()
    assert "start at 1" in caught.value.hint


def test_a_replaced_file_is_noticed(plan_of: MakePlan, root: Path) -> None:
    plan = plan_of()
    task, settings = load_task("ready_features"), plan.params.task.settings

    def outdated() -> bool:
        look = task.first_look(settings, plan.task.path)
        return is_outdated(task, settings, plan.task.path, look, plan.seen)

    look = task.first_look(settings, plan.task.path)
    assert look.classes == {"cat": 10, "dog": 10, "horse": 10, "car": 10}
    write_seen(plan.seen, look, plan.task.path)
    assert not outdated()
    change("text.npy", lambda rows: rows[::-1].copy())(root)
    assert outdated()
    plan.seen.unlink()  # as after a clone: contents decide
    assert outdated()
    change("text.npy", lambda rows: rows[::-1].copy())(root)
    assert not outdated()
    change("target_labels.npy", lambda labels: labels[::-1].copy())(root)
    assert outdated()


def test_a_changed_row_is_another_shard_and_no_other(plan_of: MakePlan, root: Path) -> None:
    before = [shard.key for shard in plan_of().shards]

    def bend(rows: np.ndarray) -> np.ndarray:
        rows[0] = rows[1][::-1]
        return rows

    change("source.npy", bend)(root)
    after = [shard.key for shard in plan_of().shards]
    assert len(before) > 4
    assert [one == other for one, other in zip(before, after, strict=True)].count(False) == 1
    assert before[0] != after[0]


def test_rows_that_both_domains_have(plan_of: MakePlan, root: Path) -> None:
    np.save(root / "target.npy", np.load(root / "source.npy"))
    with pytest.raises(DataError, match="target/0 = source/0"):
        plan_of()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task.name": "openmoji"}, ["task.name: openmoji", "backbone.name: precomputed"]),
        ({"backbone.name": "mini"}, ["task.name: ready_features", "backbone.name: mini"]),
        ({"text": None}, ["task.ready_features.text", "backbone.precomputed.text_encoder"]),
        ({"nodes": "nodes.npy"}, ["nodes and node_names"]),
        ({"imagenet": True}, ["graph.include_imagenet", "task.ready_features.nodes"]),
    ],
)
def test_settings_that_do_not_go_together(changes: dict[str, Any], said: list[str]) -> None:
    own = {"root": "x", "text": "text.npy"} | {
        name: changes[name] for name in ("text", "nodes") if name in changes
    }
    values = {
        "task": {"name": changes.get("task.name", "ready_features"), "ready_features": own},
        "backbone": {"name": changes.get("backbone.name", "precomputed")},
        "graph": {"include_imagenet": changes.get("imagenet", False)},
    }
    with pytest.raises(ConfigError) as caught:
        parse_params(values)
    for words in said:
        assert words in str(caught.value)


def test_where_the_text_encoder_lies_is_in_no_key() -> None:
    """As with the weights of open_clip: their hash is."""

    def key(pretrained: str, weights: str | None, model: str = "ViT-B-32") -> str:
        encoder = {"model": model, "pretrained": pretrained, "tag": "openai"}
        values = {
            "task": {"name": "ready_features", "ready_features": {"root": "x"}},
            "backbone": {"name": "precomputed", "precomputed": {"text_encoder": encoder}},
        }
        return backbone_key(parse_params(values), weights)

    assert key("/a/weights.pt", "f" * 64) == key("/b/weights.pt", "f" * 64)
    assert key("/a/weights.pt", "f" * 64) != key("/a/weights.pt", "0" * 64)
    assert key("/a/weights.pt", "f" * 64) != key("/a/weights.pt", "f" * 64, "ViT-B-16")
