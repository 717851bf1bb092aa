"""Feature files of ready features, and what comes after them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from sreclip.backbones.precomputed import PrecomputedBackbone
from sreclip.cli import app
from sreclip.data.manifest import read_manifest
from sreclip.errors import ConfigError, DataError
from sreclip.evaluate.evaluation import evaluate_method
from sreclip.evaluate.stored import read_evaluation
from sreclip.features.export import export_features
from sreclip.features.planned import extract_names, extract_shard, open_domain, read_names
from sreclip.features.verify import verify_file
from sreclip.files import read_json
from sreclip.graph.build import build_graph
from sreclip.graph.relation_graph import RelationGraph
from sreclip.methods.scores import FIELDS, read_scores
from sreclip.plan.plan import Plan
from sreclip.report.strip import make_strip
from sreclip.train.inputs import load_inputs
from sreclip.train.method import fit_method

MakePlan = Callable[..., Plan]
Extract = Callable[[Plan], None]


def test_rows_of_unit_length_come_back_with_the_same_bytes(
    plan_of: MakePlan, extract: Extract, root: Path
) -> None:
    rows = np.load(root / "source.npy").astype("f2")
    np.save(root / "source.npy", rows)
    plan = plan_of()
    extract(plan)
    found = open_domain(plan, "source")
    assert found.features[:].tobytes() == rows.tobytes()
    assert found.header.logit_scale == 100
    assert found.header.precision == "float16"
    for path in plan.feature_dir.rglob("*.h5"):
        verify_file(path)


def test_other_rows_are_scaled_and_zero_rows_are_rejected(
    plan_of: MakePlan, extract: Extract, root: Path
) -> None:
    rows = np.load(root / "source.npy")
    wanted = rows.copy()
    rows[5] *= 31.0
    rows[7] = wanted[7] = 0
    np.save(root / "source.npy", rows)
    plan = plan_of(sections={"features": {"dtype": "float32"}})
    notes = plan.summary["notes"]
    assert any("1 of 40 rows are not of unit length" in note for note in notes)
    assert any("1 of 40 rows are zero" in note for note in notes)
    extract(plan)
    found = open_domain(plan, "source")
    assert np.flatnonzero(~found.ok).tolist() == [7]
    assert [reject.path for reject in found.rejects] == ["source/7"]
    np.testing.assert_allclose(found.features[:], wanted, atol=1e-6)
    assert found.notes["scaled to unit length"] == 1


def test_a_file_that_says_another_logit_scale(plan_of: MakePlan, root: Path) -> None:
    with h5py.File(root / "source.h5", "w") as file:
        file["features"] = np.load(root / "source.npy")
        file.attrs.update(backbone="mini", logit_scale="11.37")
    plan = plan_of(source="source.h5")
    with pytest.raises(ConfigError, match=r"says logit scale 11.37, .* is 100") as caught:
        extract_shard(plan, plan.domain_shards("source")[0].key)
    assert "logit_scale: 11.37" in caught.value.hint


def test_shards_of_another_type_of_file_belong_together(
    plan_of: MakePlan, extract: Extract, root: Path
) -> None:
    extract(plan_of())
    rows = np.load(root / "source.npy").astype("f8")
    rows[0] = rows[0][::-1]
    np.save(root / "source.npy", rows)
    plan = plan_of()
    missing = [
        shard.key for shard in plan.shards if not plan.shard_features(shard.key).path.exists()
    ]
    assert len(missing) == 1
    extract_shard(plan, missing[0])
    assert open_domain(plan, "source").features[:1].tobytes() == rows[:1].astype("f2").tobytes()


def test_a_row_that_changed_since_is_refused(plan_of: MakePlan, root: Path) -> None:
    plan = plan_of()
    rows = np.load(root / "source.npy")
    rows[3] = rows[4]
    np.save(root / "source.npy", rows)
    with pytest.raises(DataError, match="row 3 is not the one"):
        extract_shard(plan, plan.domain_shards("source")[0].key)
    np.save(root / "text.npy", np.load(root / "text.npy")[::-1])
    with pytest.raises(DataError, match=r"the text vectors below .* are not those"):
        extract_names(plan, "classes")


def test_nodes_have_the_mean_of_the_classes_below(plan_of: MakePlan, extract: Extract) -> None:
    plan = plan_of()
    extract(plan)
    graph = RelationGraph.load(plan.graph["graph.json"])
    vectors = dict(zip(graph.names, read_names(plan, "nodes").features, strict=True))
    unit = np.eye(16)
    for name, below in {"cat": [0], "dog": [1], "entity": [0, 1, 2, 3]}.items():
        mean = unit[below].sum(axis=0)
        np.testing.assert_allclose(vectors[name], mean / np.linalg.norm(mean), atol=1e-6)
    (carnivore,) = (name for name in vectors if name.startswith("carnivore"))
    np.testing.assert_allclose(vectors[carnivore][:4], [0.5**0.5, 0.5**0.5, 0, 0], atol=1e-6)


def test_vectors_of_templates_are_averaged(plan_of: MakePlan, extract: Extract, root: Path) -> None:
    text = np.stack([np.eye(4, 16), 3 * np.roll(np.eye(4, 16), 4, axis=1)], axis=1)
    np.save(root / "text.npy", text)
    plan = plan_of()
    extract(plan)
    found = read_names(plan, "classes").features
    assert np.flatnonzero(found[0]).tolist() == [0, 4]
    np.testing.assert_allclose(found[0, [0, 4]], 0.5**0.5, atol=1e-6)


def test_a_classifier_with_a_column_per_class(plan_of: MakePlan, root: Path) -> None:
    text = np.load(root / "text.npy")
    torch.save(torch.tensor(text.T.copy()), root / "classifier.pt")
    plan = plan_of(text="classifier.pt")
    extract_names(plan, "classes")
    np.testing.assert_array_equal(read_names(plan, "classes").features, text)


def test_senses_and_places_without_a_text_encoder(plan_of: MakePlan, root: Path) -> None:
    (root / "classes.csv").write_text("name\ncat\ndog\nhorse\nxqz 3000\n")
    text = np.load(root / "text.npy")
    text[3] = text[0] + 0.2 * text[3]
    np.save(root / "text.npy", text)
    split = {"unknown": ["horse", "xqz 3000"]}
    plan = plan_of(sections={"graph": {"allow_unmapped": True}, "split": split})
    build_graph(plan)
    graph = RelationGraph.load(plan.graph["graph.json"])
    assert graph.class_wnids == ("n02121620", "n02084071", "n02374451", "text:xqz 3000")
    parents = [graph.names[up] for down, up in graph.edges if graph.names[down] == "xqz 3000"]
    assert parents == ["cat"]


def test_a_text_encoder_for_names_without_a_file(
    plan_of: MakePlan, extract: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def encode(texts: list[str]) -> torch.Tensor:
        seen.extend(texts)
        return torch.eye(16)[[len(text) % 16 for text in texts]]

    encoder = SimpleNamespace(
        dim=16, network="fake", weights_sha256="f" * 64, device=torch.device("cpu"),
        context_length=77, count_tokens=lambda texts: [1 for _ in texts], encode_text=encode,
    )  # fmt: skip
    monkeypatch.setattr(PrecomputedBackbone, "texts", encoder)
    backbone = {
        "name": "precomputed",
        "precomputed": {"text_encoder": {"model": "ViT-B-32", "pretrained": "openai"}},
    }
    plan = plan_of(text=None, sections={"backbone": backbone})
    extract(plan)
    assert "a photo of a cat." in seen
    graph = RelationGraph.load(plan.graph["graph.json"])
    assert all(f"a photo of a {name}." in seen for name in graph.names)
    load_inputs(plan)  # all files count as made by one model
    encoder.dim = 8
    with pytest.raises(ConfigError, match="vectors of 8 numbers, the features have 16"):
        extract_names(plan, "classes")


def test_without_a_text_encoder_neighbours_of_imagenet_have_no_text(
    plan_of: MakePlan, root: Path
) -> None:
    np.save(root / "nodes.npy", np.load(root / "text.npy"))
    np.save(root / "node_names.npy", list("abcd"))
    files = {"nodes": "nodes.npy", "node_names": "node_names.npy"}
    plan = plan_of(**files, sections={"graph": {"include_imagenet": True}})
    build_graph(plan)
    with pytest.raises(ConfigError, match="has no class below it, and no text vector"):
        extract_names(plan, "nodes")


def predictions(plan: Plan) -> dict[str, list[bytes]]:
    """The bytes of all numbers that a fit leaves, by method."""
    found: dict[str, list[bytes]] = {}
    for method in plan.params.methods.run:
        fit_method(plan, method, progress=False)
        fit = plan.fit(method)
        runs = read_scores(fit["scores.h5"], fit.key).runs
        found[method] = [getattr(run, name).tobytes() for run in runs for name in FIELDS]
    return found


@pytest.mark.parametrize("end", ["h5", "safetensors", "npy"])
def test_exported_and_read_again_the_predictions_are_the_same(
    plan_of: MakePlan, extract: Extract, root: Path, end: str
) -> None:
    """All methods, nodes included, to the bit."""
    np.save(root / "target.npy", 3 * np.load(root / "target.npy"))
    first = plan_of()
    extract(first)
    for what in ("source", "target", "classes", "nodes"):
        export_features(first, what, root / "out" / f"{what}.{end}")
    inner, beside = {
        "h5": (":features", "h5"),
        "safetensors": (":features", "safetensors"),
        "npy": ("", "parquet"),
    }[end]
    again = plan_of(
        source=f"out/source.{end}{inner}",
        source_labels=f"out/source.{beside}:label",
        target=f"out/target.{end}{inner}",
        text=f"out/classes.{end}{inner}",
        nodes=f"out/nodes.{end}{inner}",
        **({"node_names": f"out/nodes.{beside}:name"}
           if end != "safetensors" else {"node_names": _names(first, root)}),
    )  # fmt: skip
    extract(again)
    assert again.fit("sre_clip").path != first.fit("sre_clip").path
    assert predictions(again) == predictions(first)


@pytest.mark.parametrize(
    ("settings", "sees"),
    [({}, False), ({"refine": "class_bias"}, True), ({"calibration": "zero_shot"}, True)],
)
def test_last_steps_on_the_target_are_said(
    plan_of: MakePlan, extract: Extract, settings: dict[str, str], sees: bool
) -> None:
    plan = plan_of(sections={"methods": {"run": ["zero_shot"], "zero_shot": settings}})
    extract(plan)
    fit_method(plan, "zero_shot", progress=False)
    assert read_json(plan.fit("zero_shot")["fit.json"])["transductive"] is sees


def _names(plan: Plan, root: Path) -> str:
    names = RelationGraph.load(plan.graph["graph.json"]).names
    (root / "names.txt").write_text("\n".join(names) + "\n")
    return "names.txt"


def test_the_page_shows_images_that_ids_name(
    plan_of: MakePlan, extract: Extract, root: Path
) -> None:
    (root / "pictures").mkdir()
    for number in range(40):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(root / "pictures" / f"{number}.png")
    (root / "pictures" / "0.png").unlink()
    ids = [f"{number}.png" for number in range(39)] + ["../source.npy"]
    (root / "ids.txt").write_text("\n".join(ids) + "\n")
    sections = {"methods": {"run": ["zero_shot"]}, "report": {"images": 80}}
    plan = plan_of(target_ids="ids.txt", images="pictures", sections=sections)
    extract(plan)
    fit_method(plan, "zero_shot", progress=False)
    evaluate_method(plan, "zero_shot")
    strip = make_strip(plan, [read_evaluation(plan.evaluation("zero_shot"))])
    shown = {one.image.path for one in (*strip.right, *strip.wrong)}
    assert shown == {f"target/{number}.png" for number in range(1, 39)}
    assert strip.unreadable == 2


def test_what_check_says(plan_of: MakePlan, tmp_path: Path) -> None:
    from sreclip.config.load import dump_params

    path = tmp_path / "params.yaml"
    path.write_text(dump_params(plan_of(prepare=False).params))
    done = CliRunner().invoke(app, ["check", "--params", str(path)])
    assert done.exit_code == 0, done.output


def test_no_image_goes_through_the_backbone(plan_of: MakePlan) -> None:
    backbone = plan_of(prepare=False).params.backbone.load("cpu")
    with pytest.raises(ConfigError, match="encodes no images"):
        backbone.encode_image(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ConfigError, match="has no text encoder"):
        backbone.encode_text(["a cat"])


def test_manifest_paths_are_those_of_domains(plan_of: MakePlan) -> None:
    assert set(read_manifest(plan_of().task.path)["path"]) == {"source", "target"}
