"""A fitted model is saved, moved, and labels images that its fit never saw."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from click.testing import Result
from PIL import Image, ImageOps
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import sreclip
from sreclip.cli import app
from sreclip.errors import ConfigError, DataError, SreclipError, StoreError
from sreclip.evaluate.stored import read_predictions
from sreclip.files import file_sha256
from sreclip.model.backbone import load_backbone
from sreclip.model.found import Finder
from sreclip.model.prediction import Prediction
from sreclip.model.saved import SavedModel
from sreclip.model.sorting import folder_of
from tests.workflow.conftest import CLASSES, Project, draw_image

pytestmark = pytest.mark.workflow

METHODS = ("zero_shot", "clip_adapter", "sre_clip")


@pytest.fixture(scope="module")
def models(done: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved models by method, away from the project, and ``new``, a folder of images."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for method in METHODS:
        said = done.run("sreclip", "save", method, f"saved/{method}").stderr
        assert f"sreclip predict saved/{method} IMAGES" in said
        shutil.move(done.folder / "saved" / method, folder / method)
    for kind, name in enumerate(CLASSES):
        for number in range(3):
            path = folder / f"new/{name}/{number}.png"
            draw_image(path, kind, 900 + 10 * kind + number, lines=True)
    return folder


def predict(models: Path, *arguments: str, code: int = 0, given: str = "") -> Result:
    """Run the command, in this process, in the folder of the models."""
    with contextlib.chdir(models):
        done = CliRunner().invoke(app, ["predict", *arguments], input=given)
    if isinstance(done.exception, SreclipError):
        done.exit_code = 2
        done.stderr_bytes = str(done.exception).encode()
    assert done.exit_code == code, done.output
    return done


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_target_of_the_fit_is_labelled_as_the_pipeline_did(done: Project, models: Path) -> None:
    target = done.folder / "data/target"
    for method in ("zero_shot", "clip_adapter"):  # each image on its own
        found = rows(predict(models, method, str(target)).stdout)
        of_run = read_predictions(
            done.plan.evaluation(method), ["path", "predicted_seed_0", "predicted_seed_1"]
        ).set_index("path")
        assert len(found) == len(of_run) == 24
        names = [entry.name for entry in done.plan.classes]
        for row in found:
            expected = of_run.loc[os.path.relpath(row["path"], done.folder / "data")]
            if row["agreement"] in ("", "1.0"):
                assert row["class"] == names[expected["predicted_seed_0"]]
            assert row["kind"] == ("unknown" if row["class"] == "car" else "known")


def test_seeds_are_averaged_as_one_model(done: Project, models: Path) -> None:
    model = sreclip.load(models / "clip_adapter")
    assert model.saved.seeds == [0, 1]
    tensors = load_file(models / "clip_adapter/model.safetensors")
    text, scale = tensors["class_text"], model.saved.logit_scale
    features = np.random.default_rng(0).normal(size=(7, model.saved.dim)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    total = np.zeros((7, len(CLASSES)))
    ratio = model.saved.settings["ratio"]
    for seed in model.saved.seeds:
        first, second = (tensors[f"seed-{seed}.{name}.weight"] for name in ("first", "second"))
        hidden = np.maximum(np.maximum(features @ first.T, 0) @ second.T, 0)
        adapted = ratio * hidden + (1 - ratio) * features
        logits = scale * adapted @ text.T / np.linalg.norm(adapted, axis=1, keepdims=True)
        total += logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = np.exp(total / 2)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(features), expected, atol=1e-4)


def test_every_format_says_the_same(models: Path) -> None:
    printed = rows(predict(models, "sre_clip", "new", "--top", "2").stdout)
    assert len(printed) == 12
    assert [*printed[0]] == [
        *("path", "class", "probability", "kind", "margin", "agreement", "reason"),
        *("class_2", "probability_2"),
    ]
    for suffix in ("csv", "jsonl", "parquet"):
        predict(models, "sre_clip", "new", "--top", "2", "--out", f"p.{suffix}")
    assert rows((models / "p.csv").read_text()) == printed
    table = pd.read_parquet(models / "p.parquet")
    lines = [json.loads(line) for line in (models / "p.jsonl").read_text().splitlines()]
    for number, row in enumerate(printed):
        assert table["class"][number] == lines[number]["class"] == row["class"]
        assert table["probability"][number] == pytest.approx(float(row["probability"]), abs=1e-6)
        assert [each["class"] for each in lines[number]["top"]] == [row["class"], row["class_2"]]
        assert float(row["margin"]) == pytest.approx(
            float(row["probability"]) - float(row["probability_2"]), abs=1e-5
        )
    predict(models, "sre_clip", "new", "--format", "label-studio", "--out", "tasks.json")
    tasks = json.loads((models / "tasks.json").read_text())
    chosen = [task["predictions"][0]["result"][0]["value"]["choices"] for task in tasks]
    assert chosen == [[row["class"]] for row in printed]
    predict(models, "sre_clip", "new", "--format", "fiftyone", "--out", "labels.json")
    labels = json.loads((models / "labels.json").read_text())
    assert labels["classes"] == sreclip.load(models / "sre_clip").classes
    assert labels["labels"]["new/cat/0.png"]["label"] == printed[0]["class"]


def test_images_come_from_anywhere_and_bad_ones_are_rows(models: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "some.tar", "w") as archive:
        archive.add(models / "new/cat/0.png", "deep/a.png")
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / "loop").symlink_to(odd)
    (odd / ".hidden.png").write_bytes(b"")
    (odd / "notes.txt").write_text("nothing")
    shutil.copy(models / "new/cat/1.png", odd / 'two\nlines, "quoted".png')
    shutil.copy(models / "new/cat/1.png", os.fsencode(odd) + b"/caf\xe9.png")
    (odd / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (odd / "empty.jpg").touch()
    done = predict(
        models,
        *("zero_shot", str(tmp_path / "some.tar"), str(odd), "new/c*/0.png", "gone.png", "-"),
        given="new/dog/2.png\n\n",
    )
    found = {row["path"]: row for row in rows(done.stdout)}
    names = [path.removeprefix(f"{tmp_path}/") for path in found]
    assert names == [
        "some.tar/deep/a.png",
        "odd/broken.png",
        "odd/caf\\udce9.png",
        "odd/empty.jpg",
        'odd/two\nlines, "quoted".png',
        "new/car/0.png",
        "new/cat/0.png",
        "gone.png",
        "new/dog/2.png",
    ]
    reasons = {name: row["reason"] for name, row in zip(names, found.values(), strict=True)}
    assert reasons["gone.png"] == "there is no such file"
    assert reasons["odd/empty.jpg"] == "it is empty"
    assert reasons["odd/broken.png"]
    assert not any(found[path]["class"] for path in found if found[path]["reason"])
    assert sum(not row["reason"] for row in found.values()) == 6
    assert "9 images, 6 labelled, 3 could not be read" in done.stderr
    assert "1 .txt" in done.stderr


def test_a_folder_below_a_pattern_comes_once(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models)
    names = [found.name for found in Finder().find(["new/**"])]
    assert len(names) == len(set(names)) == 12
    assert [found.name for found in Finder().find(["new/cat/", "new/cat/2.png"])] == [
        *(f"new/cat/{number}.png" for number in range(3)),
        "new/cat/2.png",
    ]


@pytest.mark.parametrize("way", ["link", "copy", "move"])
def test_images_are_sorted_and_nothing_is_written_over(models: Path, way: str) -> None:
    mine = models / f"mine-{way}"
    shutil.copytree(models / "new", mine)
    (mine / "broken.png").write_text("broken")
    with tarfile.open(mine / "more.tar", "w") as archive:
        archive.add(models / "new/cat/0.png", "0.png")
    wanted = rows(predict(models, "sre_clip", mine.name, "--reject", "0.6").stdout)
    command = ("sre_clip", mine.name, "--reject", "0.6", "--sort-into", f"out-{way}", "--by", way)
    said = predict(models, *command, "--out", f"{way}.csv").stderr
    assert rows((models / f"{way}.csv").read_text()) == wanted
    out = models / f"out-{way}"
    found = Counter(path.parent.name for path in out.glob("*/*"))
    expected = Counter(
        row["class"] or ("_uncertain" if row["probability"] else "_unreadable") for row in wanted
    )
    assert found == expected
    assert found["_unreadable"] == 1
    assert f"sorted into out-{way}: " in said
    images = [path for path in out.glob("*/*") if path.parent.name != "_unreadable"]
    links = [path for path in images if path.is_symlink()]
    # The member of the archive is a copy in any case.
    assert (len(images), len(links)) == (13, 12 if way == "link" else 0)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in images)
    assert len([*mine.glob("*/*.png")]) == (0 if way == "move" else 12)
    again = predict(models, *command, code=2)
    assert f"out-{way} is not empty" in again.stderr


def test_a_watched_folder_is_labelled_as_images_arrive(models: Path) -> None:
    drop = models / "drop"
    drop.mkdir()
    shutil.copy(models / "new/cat/0.png", drop / "0.png")
    out = models / "drop.csv"
    command = ["sreclip", "predict", "zero_shot", "drop", "--watch", "--out", "drop.csv"]
    command += ["--sort-into", "dropped"]

    def until(n: int) -> list[str]:
        for _ in range(600):
            text = out.read_text() if out.exists() else ""
            # Without a line that is being written, or was cut off.
            found = [row["path"] for row in rows(text[: text.rfind("\n") + 1])]
            if len(found) >= n:
                return found
            time.sleep(0.1)
        raise AssertionError(f"{found} after a minute")

    process = subprocess.Popen(command, cwd=models, env=Project(models).environment)
    try:
        assert until(1) == ["drop/0.png"]
        (drop / "1.png").write_bytes((models / "new/cat/1.png").read_bytes()[:100])
        (drop / "1.png").write_bytes((models / "new/cat/1.png").read_bytes())
        assert until(2) == ["drop/0.png", "drop/1.png"]
    finally:
        process.kill()
        process.wait()
    shutil.copy(models / "new/cat/2.png", drop / "2.png")
    with out.open("a") as file:
        file.write("drop/2.png,ca")  # cut off by the kill
    process = subprocess.Popen(command, cwd=models, env=Project(models).environment)
    try:
        assert until(3) == ["drop/0.png", "drop/1.png", "drop/2.png"]
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert all(row["class"] for row in rows(out.read_text()))
    assert sorted(path.name for path in (models / "dropped").glob("*/*")) == [
        *("0.png", "1.png", "2.png"),
    ]


def test_names_of_folders_cannot_leave_the_folder() -> None:
    for label, folder in {
        "red panda": "red panda",
        "../up": "%2E.%2Fup",
        "_uncertain": "%5Funcertain",
        "a/b": "a%2Fb",
        "new\nline": "new%0Aline",
        "café": "café",
        "50%": "50%25",
    }.items():
        assert folder_of(Prediction("x", (label,), (1.0,), True)) == folder


def test_ready_features_need_no_backbone(done: Project, models: Path) -> None:
    done.run("sreclip", "export-features", "target", "target.h5")
    path = str(done.folder / "target.h5")
    found = rows(predict(models, "sre_clip", "--features", f"{path}:features").stdout)
    images = rows(predict(models, "sre_clip", str(done.folder / "data/target")).stdout)
    assert [row["path"] for row in found] == [str(number) for number in range(24)]
    by_path = {os.path.relpath(row["path"], done.folder / "data"): row for row in images}
    with h5py.File(path) as file:
        names = file["path"].asstr()[:].tolist()
    assert [by_path[name]["class"] for name in names] == [row["class"] for row in found]
    model = sreclip.load(models / "sre_clip")
    with pytest.raises(DataError, match=f"the model was fitted on rows of {model.saved.dim}"):
        model.predictions(np.ones((2, 3)))
    with pytest.raises(DataError, match="row 1 of the features has length 2, not 1"):
        model.predictions(np.eye(2, model.saved.dim) * [[1], [2]])


def test_the_card_says_what_is_known(models: Path) -> None:
    modes = {path.stat().st_mode for path in (models / "sre_clip").iterdir()}
    assert len(modes) == 1  # who may read the card may read the tensors
    card = (models / "sre_clip/README.md").read_text()
    assert "3 classes with source labels: cat, dog, horse" in card
    assert "1 classes without any label: car" in card
    assert "| H |" in card
    thresholds = SavedModel.read(models / "sre_clip").thresholds
    assert [row.least for row in thresholds[:3]] == [0.0, 0.05, 0.1]
    assert thresholds[0].kept == 1
    assert thresholds[0].n == 24


def test_a_changed_folder_is_refused(models: Path, tmp_path: Path) -> None:
    def changed(name: str) -> Path:
        return shutil.copytree(models / "zero_shot", tmp_path / name)

    with pytest.raises(StoreError, match="is no saved model"):
        sreclip.load(tmp_path)
    edited = changed("edited") / "model.json"
    edited.write_text(edited.read_text().replace('"cat"', '"cow"'))
    with pytest.raises(StoreError, match=r"model\.json is not as it was saved"):
        sreclip.load(edited.parent)
    edited.write_text(edited.read_text()[:300])
    with pytest.raises(StoreError, match="is not valid JSON"):
        sreclip.load(edited.parent)
    short = changed("short") / "model.safetensors"
    short.write_bytes(short.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"model\.safetensors is not as it was saved"):
        sreclip.load(short.parent)
    short.unlink()
    with pytest.raises(StoreError, match=r"model\.safetensors is missing"):
        sreclip.load(short.parent)
    newer = changed("newer") / "model.json"
    newer.write_text(json.dumps(json.loads(newer.read_text()) | {"format": 99}))
    with pytest.raises(StoreError, match="has format 99; this sreclip reads 1"):
        sreclip.load(newer.parent)


def test_a_state_of_another_version_is_refused(models: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(models / "clip_adapter", tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    del tensors["seed-1.first.weight"]
    save_file(tensors, folder / "model.safetensors")
    saved = SavedModel.read(models / "clip_adapter")
    sha256 = file_sha256(folder / "model.safetensors")
    SavedModel(**vars(saved) | {"tensors_sha256": sha256}).write(folder)
    with pytest.raises(StoreError, match="cannot use the state of clip_adapter"):
        sreclip.load(folder).predict_proba(np.eye(1, saved.dim))


def test_another_backbone_is_refused(models: Path) -> None:
    saved = SavedModel.read(models / "zero_shot")
    assert load_backbone(saved, "cpu").dim == saved.dim
    other = SavedModel(**vars(saved) | {"made_with": saved.made_with | {"weights_sha256": "0"}})
    with pytest.raises(ConfigError, match="fitted with another backbone: weights_sha256"):
        load_backbone(other, "cpu")
    with pytest.raises(ConfigError, match="has no local checkpoint"):
        load_backbone(saved, "cpu", "elsewhere.safetensors")
    ready = SavedModel(**vars(saved) | {"backbone": {"name": "precomputed"}})
    with pytest.raises(ConfigError, match="on features that unknown made elsewhere"):
        load_backbone(ready, "cpu")


def add_class(models: Path, *arguments: str) -> Result:
    with contextlib.chdir(models):
        done = CliRunner().invoke(app, ["add-class", *arguments])
    if done.exception and not isinstance(done.exception, SreclipError):
        raise done.exception
    return done


def test_a_class_is_added_without_a_fit(models: Path) -> None:
    before = predict(models, "sre_clip", "new", "--top", "4").stdout
    done = add_class(
        models, "sre_clip", "red_panda", "bird", "--out", "more", "--images", "new", "--images", "x"
    )
    said = done.stderr
    assert re.search(r"red panda \(.*\): scored by .* Nearest texts: ", said)
    assert "1 of 13 images could not be read" in said
    rest, found = rows(before), rows(predict(models, "more", "new", "--top", "4").stdout)
    for name in ("red panda", "bird"):
        came = [row["class"] for row in found].count(name)
        assert f"{came} of 13 images go to {name}" in said
    for row, now in zip(rest, found, strict=True):
        if now["class"] not in ("red panda", "bird"):
            assert now["class"] == row["class"]
        else:
            assert now["kind"] == "unknown"
    model, old = sreclip.load(models / "more"), sreclip.load(models / "sre_clip")
    assert model.classes == [*old.classes, "red panda", "bird"]
    assert [each.name for each in model.saved.added] == ["red panda", "bird"]
    card = (models / "more/README.md").read_text()
    assert "3 classes without any label: car, red panda, bird" in card
    assert "before they came" in card
    assert "before 2 classes were added" in predict(models, "more", "new", "--out", "m.csv").stderr
    add_class(
        models, "more", "owl", "--prompt", "a photo of an owl", "--prompt", "an owl", "--out", "on"
    )
    third = sreclip.load(models / "on").saved
    assert [each.name for each in third.added] == ["red panda", "bird", "owl"]
    assert third.prompts["sentences"] == [[]] * 6 + [["a photo of an owl", "an owl"]]
    text = load_file(models / "on/model.safetensors")["class_text"]
    vectors = old.text_encoder.encode_text(["a photo of an owl", "an owl"]).numpy()
    mean = vectors.mean(axis=0)
    np.testing.assert_allclose(text[-1], mean / np.linalg.norm(mean), atol=1e-6)


def test_vectors_of_names_may_be_given(models: Path, tmp_path: Path) -> None:
    saved = SavedModel.read(models / "zero_shot")
    rows_of = np.eye(2, saved.dim, dtype=np.float32)
    np.save(tmp_path / "two.npy", rows_of)
    ready = shutil.copytree(models / "zero_shot", tmp_path / "ready")
    SavedModel(**vars(saved) | {"backbone": {"name": "precomputed"}}).write(ready)
    out, given = str(tmp_path / "out"), str(tmp_path / "two.npy")
    refused = add_class(models, str(ready), "one", "two", "--out", out)
    assert "text vectors that unknown made elsewhere" in str(refused.exception)
    add_class(models, str(ready), "one", "two", "--out", out, "--vectors", given)
    proba = sreclip.load(out).predict_proba(rows_of)
    assert proba.argmax(axis=1).tolist() == [len(saved.classes), len(saved.classes) + 1]
    one = add_class(models, str(ready), "one", "--out", f"{out}2", "--vectors", given)
    assert f"1 names need (1, {saved.dim})" in str(one.exception)


def test_tower_and_head_label_images_without_sreclip(models: Path) -> None:
    with contextlib.chdir(models):
        command = ["export", "sre_clip", "--onnx", "head.onnx", "--image-tower", "tower.onnx"]
        assert CliRunner().invoke(app, command).exit_code == 0
    tower, head = (
        onnxruntime.InferenceSession(models / f"{name}.onnx") for name in ("tower", "head")
    )
    classes = json.loads(head.get_modelmeta().custom_metadata_map["classes"])
    for row in rows(predict(models, "sre_clip", "new").stdout):
        # As the metadata say: the short side to 256, the middle 224 x 224.
        with Image.open(models / row["path"]) as image:
            middle = ImageOps.fit(image.convert("RGB"), (256, 256), Image.Resampling.BICUBIC)
        pixels = np.asarray(middle.crop((16, 16, 240, 240))).transpose(2, 0, 1)[None]
        (features,) = tower.run(None, {"pixels": pixels})
        (p,) = head.run(None, {"features": features})
        assert classes[p[0].argmax()] == row["class"]
        assert p[0].max() == pytest.approx(float(row["probability"]), abs=1e-3)


def test_wrong_names_are_told(models: Path) -> None:
    for arguments, said in {
        ("zero_shot", "Cat"): "'Cat': the model has the class 'cat' already",
        ("zero_shot", " _ "): "the name of a class is empty",
        ("zero_shot", "owl", "Owl"): "'Owl' is named twice",
        ("zero_shot", "owl", "emu", "--prompt", "an owl"): "--prompt is for one class",
        ("zero_shot", "owl", "--prompt", "an {}"): "is no sentence",
        ("zero_shot", "owl", "--prompt", "owl " * 400): "tokens, but mini reads only",
        ("zero_shot", "owl", "--prompt", "x", "--vectors", "y"): "both say the text",
        ("nothing", "owl"): "is no saved model",
    }.items():
        assert said in str(add_class(models, *arguments, "--out", "never").exception)
    assert not (models / "never").exists()
    assert "new exists" in str(add_class(models, "zero_shot", "owl", "--out", "new").exception)
    saved = SavedModel.read(models / "zero_shot")
    (models / "no-templates").mkdir()
    shutil.copy(models / "zero_shot/model.safetensors", models / "no-templates")
    sentences = {"names": [[]] * 4, "templates": [], "sentences": [["a cat"]] * 4}
    SavedModel(**vars(saved) | {"prompts": sentences}).write(models / "no-templates")
    refused = add_class(models, "no-templates", "owl", "--out", "never")
    assert "sentences per class and no templates" in str(refused.exception)
    refused = add_class(models, "no-templates", "owl", "--prompt", "an owl", "--out", "never")
    assert "the text encoder is not that of the model" in str(refused.exception)


def test_wrong_use_is_told(done: Project, models: Path) -> None:
    for arguments, said in {
        ("zero_shot",): "give images to label",
        ("zero_shot", "new", "--out", "x.doc"): "the name does not say the format",
        ("zero_shot", "new", "--format", "parquet"): "Parquet needs a file",
        ("zero_shot", "--features", "x.npy", "--sort-into", "y"): "need images, not features",
        ("zero_shot", "new", "--watch"): "--watch needs a file that grows",
        ("zero_shot", "new", "--watch", "--out", "x.parquet"): "a file that grows is .csv",
        ("nothing", "new"): "is no saved model",
    }.items():
        assert said in predict(models, *arguments, code=2).stderr
    (models / "void").mkdir()
    assert "there is no image" in predict(models, "zero_shot", "void", code=2).stderr
    (models / "kept.csv").write_text("of an earlier call")
    gone = predict(models, "zero_shot", "no-folder/", "gone.png", "--out", "kept.csv", code=2)
    assert "no image could be read: no-folder/: there is no such file, and 1 more" in gone.stderr
    assert (models / "kept.csv").read_text() == "of an earlier call"
    (done.folder / "taken").mkdir()
    assert "taken exists" in done.run("sreclip", "save", "zero_shot", "taken", check=False).stderr
    missing = done.run("sreclip", "save", "linear_probe", "probe", check=False)
    assert missing.returncode == 2
    assert "linear_probe has not been fitted with these parameters" in missing.stderr
    assert not (done.folder / "probe").exists()
