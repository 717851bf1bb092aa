"""Results trees as the pipeline leaves them, from made-up logits: all that a page is made of."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageDraw

from sreclip.config.load import parse_params
from sreclip.data.benchmarks.classes import read_benchmark_classes
from sreclip.data.manifest import ClassEntry, row_id, write_task
from sreclip.data.shards import cut_shards, write_shards
from sreclip.evaluate.comparison import compare_methods
from sreclip.evaluate.evaluation import evaluate_method
from sreclip.files import file_sha256, write_json
from sreclip.graph.relation_graph import RelationGraph
from sreclip.methods.logits import Block, collect
from sreclip.methods.scores import ImageScores, Scores, write_scores
from sreclip.plan.plan import Plan
from sreclip.report.page import render_page

# Class name -> its hypernym in the made-up hierarchy.
CLASSES = {
    "dog": "animal",
    "cat": "animal",
    "apple": "fruit",
    "hammer": "tool",
    "saw": "tool",
    "owl": "animal",
    "pear": "fruit",
    "axe": "tool",
}
UNKNOWN = ("owl", "pear", "axe")
TITLES = {
    "zero_shot": ("Zero-shot", False, 1.2),
    "clip_adapter": ("CLIP-Adapter", False, 1.7),
    "sre_clip": ("SRE-CLIP", True, 2.3),
    "sre_clip_reference": ("SRE-CLIP (reference)", True, 1.5),
}
I2AWA_CLASSES = read_benchmark_classes("i2awa")
I2AWA: dict[str, Any] = {
    "task": "i2awa",
    "classes": {item.entry.name: "animal" for item in I2AWA_CLASSES},
    "unknown": tuple(item.entry.name for item in I2AWA_CLASSES if not item.known),
    "methods": ("zero_shot", "sre_clip_reference"),
    "seeds": (0, 1),
    "per_class": 2,
    "steps": 3,
}
CITED = "github.com/yjainqdc/SRECLIP"
CAVEATS = ("best of nine tests during training on the test labels", "class-sorted test batches")
WARNING = "for comparison with published numbers only, never a result"


@dataclass(frozen=True)
class Fake:
    """What to make up."""

    classes: Mapping[str, str] = field(default_factory=lambda: CLASSES)
    unknown: Sequence[str] = UNKNOWN
    methods: Sequence[str] = ("zero_shot", "clip_adapter", "sre_clip")
    task: str = "folder"
    seeds: Sequence[int] = (0, 1, 2)
    per_class: int = 8
    steps: int = 40
    only_known_targets: bool = False
    # Labelled target images of each class; of a class that is not named all are.
    labelled: Mapping[str, int] = field(default_factory=dict)
    n_broken: int = 1
    report: Mapping[str, Any] | None = None
    evaluate: Mapping[str, Any] | None = None
    selection: str = "last"
    credits: str = "Images: made up for this test."


def write_results(root: Path, **changes: Any) -> Plan:
    """Write images, manifest, graph, scores, evaluations and comparison below ``root``."""
    fake = Fake(**changes)
    params = parse_params(
        {
            "task": {"name": "folder", "folder": {"root": "images"}},
            "split": {"unknown": list(fake.unknown)},
            "methods": {"run": list(fake.methods)},
            "train": {"seeds": list(fake.seeds), "selection": {"rule": fake.selection}},
            "evaluate": dict(fake.evaluate or {}),
            "report": dict(fake.report or {}),
        }
    )
    # Results are made up, so that the task need not be one that can be prepared.
    task = params.task.model_copy(update={"name": fake.task})
    params = params.model_copy(update={"task": task})
    plan = Plan(params, root)
    rows = _write_task(plan, root / "images", fake)
    _write_graph(plan, fake)
    for name in fake.methods:
        _write_fit(plan, name, rows, fake)
        evaluate_method(plan, name)
    compare_methods(plan)
    return plan


def _write_task(plan: Plan, images: Path, fake: Fake) -> pd.DataFrame:
    names = list(fake.classes)
    rng = np.random.default_rng(7)
    found: list[tuple[str, str, int]] = []
    for label, name in enumerate(names):
        is_unknown = name in fake.unknown
        for domain in ("source", "target"):
            if is_unknown and (domain == "source" or fake.only_known_targets):
                continue
            for number in range(fake.per_class):
                path = f'{domain}/{label:02d}/it\'s "{number}".png'
                found.append((path, domain, label))
                _draw(images / path, label, domain == "target", rng)
    targets = [path for path, domain, _ in found if domain == "target"]
    for path in targets[: fake.n_broken]:
        (images / path).write_bytes(b"no image")
    paths = [path for path, *_ in found]
    rows = pd.DataFrame(
        {
            "row_id": [row_id(domain, path) for path, domain, _ in found],
            "path": paths,
            "domain": [domain for _, domain, _ in found],
            "label": pd.array([label for *_, label in found], dtype="Int32"),
            "size": [(images / path).stat().st_size for path in paths],
            "sha256": [file_sha256(images / path) for path in paths],
            "member": None,
            "offset": None,
        }
    ).sort_values(["domain", "path"], ignore_index=True)
    rows = _without_labels(rows, fake)
    source = rows[rows["domain"] == "source"]
    per_class = {name: int((source["label"] == label).sum()) for label, name in enumerate(names)}
    summary = {
        "task": "folder",
        "root": images.as_posix(),
        "images": {"source": len(source), "target": len(rows) - len(source)},
        "target_labels": int(rows["label"].notna().sum()) - len(source),
        "classes": {name: {"source": count} for name, count in per_class.items()},
        "source_images": per_class,
        "source_labels_key": "0" * 12,
        "target_labels_key": "0" * 12,
        "credits": fake.credits,
        "notes": [],
    }
    classes = [ClassEntry(name, (name,)) for name in names]
    write_shards(plan.task.path, cut_shards(rows, 4096))
    write_task(plan.task.path, rows, classes, summary)
    return rows


def _without_labels(rows: pd.DataFrame, fake: Fake) -> pd.DataFrame:
    """Leave a label to the first target images of each class alone."""
    names = list(fake.classes)
    target = rows["domain"] == "target"
    number = rows[target].groupby("label").cumcount()
    most = rows["label"][target].map(lambda label: fake.labelled.get(names[label], len(rows)))
    bare = number.index[number.to_numpy() >= most.to_numpy()]
    return rows.assign(label=rows["label"].mask(rows.index.isin(bare)))


def _draw(path: Path, label: int, outlined: bool, rng: np.random.Generator) -> None:
    image = Image.new("RGB", (160, 120), "white")
    canvas = ImageDraw.Draw(image)
    x, y = rng.integers(5, 60, 2).tolist()
    colour = f"hsl({label * 47 % 360}, 70%, 45%)"
    shape = canvas.ellipse if label % 2 else canvas.rectangle
    box = (x, y, x + 80, y + 50)
    if outlined:
        shape(box, outline="black", width=4)
    else:
        shape(box, fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())


def _write_graph(plan: Plan, fake: Fake) -> None:
    groups = list(dict.fromkeys(fake.classes.values()))
    nodes = [*fake.classes, *groups, "thing, entity"]
    number = {name: at for at, name in enumerate(nodes)}
    edges = [
        (number[name], len(fake.classes) + groups.index(up)) for name, up in fake.classes.items()
    ]
    edges += [(len(fake.classes) + at, len(nodes) - 1) for at in range(len(groups))]
    RelationGraph(
        tuple(f"n{at:08d}" for at in range(len(nodes))),
        tuple(nodes),
        np.array(edges),
        np.arange(len(fake.classes)),
    ).save(plan.graph["graph.json"])


def _write_fit(plan: Plan, name: str, rows: pd.DataFrame, fake: Fake) -> None:
    title, transductive, strength = TITLES[name]
    target = rows[rows["domain"] == "target"]
    # Of unlabelled images, too: the folder is that of the class.
    labels = target["path"].str.split("/").str[1].to_numpy(dtype=np.int64)
    n_classes = len(fake.classes)
    group = np.array([list(fake.classes.values()).index(up) for up in fake.classes.values()])
    ok = ~target["path"].isin(_broken(target, fake)).to_numpy()
    base = np.random.default_rng(3).normal(size=(len(labels), n_classes))
    logits = np.zeros((len(fake.seeds), len(labels), n_classes), dtype=np.float32)
    for index, seed in enumerate(fake.seeds):
        rng = np.random.default_rng([seed, len(name)])
        noise = rng.normal(size=base.shape) * (0 if name == "zero_shot" else 0.5)
        scores = 1.2 * base + noise + 0.8 * (group[labels][:, None] == group)
        scores[np.arange(len(labels)), labels] += strength * rng.uniform(0.9, 1.1)
        scores[:, ~plan.known] -= 0.3 * (name == "clip_adapter")
        logits[index, ok] = scores[ok]
    history: list[dict[str, float]] = []
    terms = {"zero_shot": (), "clip_adapter": ("source",)}.get(
        name, ("source", "relation", "rank", "retention", "anchor", "self_training")
    )
    for seed in fake.seeds:
        rng = np.random.default_rng(seed)
        for step in range(1, fake.steps + 1 if terms else 1):
            fall = np.exp(-4 * step / fake.steps)
            history.append(
                {"seed": seed, "step": step}
                | {
                    term: float((at + 1) * 0.3 * (fall + 0.1 + 0.03 * rng.normal()))
                    for at, term in enumerate(terms)
                    if term != "self_training" or step > fake.steps // 3
                }
            )
    key = plan.fit(name).key
    folder = plan.fit(name).path
    write_json(
        folder / "fit.json",
        {
            "method": name,
            "title": title,
            "citation": "Nobody et al., 2020",
            "transductive": transductive,
            "baseline": not name.startswith("sre_clip"),
            "selection": {},
            "key": key,
            "settings": {},
            "seeds": list(fake.seeds),
            "checkpoints": [],
            "backbone": {"label": "mini", "weights_sha256": "ab" * 32},
            "n_source": int((rows["domain"] == "source").sum()),
            "n_target": int(ok.sum()),
            "found": [{"seed": seed} for seed in fake.seeds],
            "history": history,
        },
    )
    write_scores(
        folder / "scores.h5",
        Scores(
            row_id=target["row_id"].to_numpy(),
            ok=ok,
            runs=tuple(_reduced(run, plan.known) for run in logits),
            seeds=tuple(fake.seeds),
            classes=tuple(fake.classes),
            known=plan.known,
            method=name,
            key=key,
        ),
    )


def _reduced(logits: np.ndarray, known: np.ndarray) -> ImageScores:
    n_images, n_classes = logits.shape
    block = Block(torch.arange(n_images), torch.arange(n_classes), torch.from_numpy(logits))
    return collect([block], n_images, torch.from_numpy(known))


def _broken(target: pd.DataFrame, fake: Fake) -> list[str]:
    return target.sort_values("path")["path"].tolist()[: fake.n_broken]


def words(text: str) -> str:
    """Return a text with single spaces."""
    return " ".join(text.split())


@pytest.fixture(scope="session")
def i2awa(make_results: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The problem that numbers were published for."""
    return make_results(tmp_path_factory.mktemp("i2awa"), **I2AWA)


@pytest.fixture(scope="session")
def reference(make_results: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Results under the protocol ``reference``."""
    changes = {"per_class": 3, "steps": 4, "evaluate": {"protocol": "reference"}}
    return make_results(tmp_path_factory.mktemp("reference"), **changes)


@pytest.fixture(scope="session")
def make_results() -> Callable[..., Plan]:
    """Return the function that writes a results tree: a folder, and the fields of `Fake`."""
    return write_results


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Eight classes, three of them unknown; three methods, three seeds; one broken image."""
    return write_results(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def page(plan: Plan) -> str:
    """The page of those results."""
    return render_page(plan)
