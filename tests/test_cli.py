"""The ``sreclip`` command: its steps on files, its exit statuses, what it tells people."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sreclip import __version__
from sreclip.cli import main
from sreclip.features.header import Provenance
from sreclip.features.images import write_images
from sreclip.graph.similarity import write_similarity
from sreclip.plan.results import Result

REFERENCE = Path(__file__).parent / "graph" / "i2awa_reference.json"
HEAVY = {"torch", "torchvision", "open_clip", "transformers", "timm", "scipy", "plotly"}
PARAMS = {"task": {"name": "openmoji"}, "methods": {"run": ["zero_shot"]}}


@dataclass
class Done:
    """Exit status and what was printed."""

    status: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Return the command, run as its entry point runs it, in a folder with a ``params.yaml``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["sreclip", *arguments])
        capsys.readouterr()
        status: Any = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return Done(status, printed.out, printed.err)

    logger = logging.getLogger("sreclip")
    before = logger.handlers, logger.level
    yield call
    for handler in logger.handlers:
        handler.close()
    logger.handlers, logger.level = before


@pytest.fixture(scope="session")
def i2awa() -> dict[str, Any]:
    reference: dict[str, Any] = json.loads(REFERENCE.read_text(encoding="utf-8"))
    return reference


@pytest.fixture
def graph_file(run: Run, i2awa: dict[str, Any], tmp_path: Path) -> Path:
    """Return the graph of I2AwA's 50 classes with ImageNet's, made by the command."""
    (tmp_path / "wnids.txt").write_text("\n".join(["# I2AwA", *i2awa["class_wnids"]]) + "\n")
    done = run(
        "build-graph", "--wnids", "wnids.txt", "--include-imagenet", "--out", "deep/graph.json"
    )
    assert done.status == 0, done.err
    assert f"{len(i2awa['wnids'])} nodes, {len(i2awa['edges'])} edges" in done.err
    return tmp_path / "deep/graph.json"


def run_apart(folder: Path, *arguments: str) -> tuple[str, set[str]]:
    """Return what a command printed and what it imported, in a process of its own.

    This process has imported everything.
    """
    program = (
        "import sys; from sreclip.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "print('IMPORTED', *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed, _, imported = done.stdout.rpartition("IMPORTED")
    return printed + done.stderr, set(imported.split())


def test_help_lists_the_steps_and_imports_nothing_heavy(tmp_path: Path) -> None:
    printed, imported = run_apart(tmp_path, "--help")
    assert not imported & (HEAVY | {"pandas", "h5py", "numpy", "pydantic"})
    for step in ("prepare-data", "extract-images", "build-graph", "train", "evaluate", "report"):
        assert step in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("results",), "30.0"),
        (("check",), "backbone mini: EfficientNet-lite0"),
        (("verify", "cached"), "2 HDF5 files, all whole"),
        (("inspect", "cached/images.h5"), "3 x 8, float32"),
        (("inspect", "cached/similarity.h5"), "3 x 3, float32"),
        (("diff", "reports", "earlier"), "25.0"),
    ],
    ids=" ".join,
)
def test_what_people_look_at_imports_no_torch(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    # So long that its tokens are counted.
    prompts = {"templates": ["a photo of a {}, " + "very " * 60 + "clear"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS | {"prompts": prompts}))
    for name, accuracy in (("reports", 0.3), ("earlier", 0.25)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(published(accuracy)))
    graph = Result("graph", tmp_path / "cached", "0123456789ab", files=("similarity.h5",))
    write_similarity(graph, np.eye(3, dtype=np.float32))
    made_with = Provenance("fake", "ab" * 32, "random", "8 x 8", "float32", "float32", 50.0, 8)
    rows = np.eye(3, 8, dtype=np.float32)
    images = tmp_path / "cached" / "images.h5"
    write_images(images, made_with, np.arange(3), rows, [], rows_key="r", domain="source")
    printed, imported = run_apart(tmp_path, *arguments)
    assert said in printed
    assert not imported & HEAVY


def published(accuracy: float) -> dict[str, Any]:
    """Numbers of one method, as ``reports/metrics.json`` holds them."""
    numbers = {"mean": accuracy, "sd": 0.0, "low": accuracy, "high": accuracy, "n": 1}
    return {"openmoji": {"mini": {"zero_shot": {"known": numbers}}}}


def test_report_of_two_runs_is_one_page(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, accuracy in (("reports", 0.3), ("earlier", 0.25)):
        Path(name).mkdir()
        Path(name, "metrics.json").write_text(json.dumps(published(accuracy)))
    assert run("report", "earlier", "reports").out.strip() == "reports/compare.html"
    assert "+5.0" in Path("reports/compare.html").read_text()
    wrong = run("report", "--out", "page.html")
    assert wrong.status == 2
    assert "no runs are named" in wrong.err


def test_version_and_no_arguments(run: Run) -> None:
    assert run("--version").out.strip() == f"sreclip {__version__}"
    asked = run()
    assert asked.status in (0, 2)
    assert "Usage" in asked.out + asked.err


def test_mistyped_command_and_option(run: Run) -> None:
    for arguments in (("trian", "zero_shot"), ("train", "zero_shot", "--parms", "x.yaml")):
        done = run(*arguments)
        assert done.status == 2
        assert arguments[0] in done.err or "--parms" in done.err


def test_build_graph_of_50_ids_is_the_published_graph(
    graph_file: Path, i2awa: dict[str, Any]
) -> None:
    graph = json.loads(graph_file.read_text(encoding="utf-8"))
    assert len(graph["wnids"]) == len(set(graph["wnids"]))
    assert set(graph["wnids"]) == set(i2awa["wnids"])

    def by_id(value: dict[str, Any]) -> list[tuple[str, str]]:
        return sorted((value["wnids"][child], value["wnids"][up]) for child, up in value["edges"])

    assert by_id(graph) == by_id(i2awa)
    # Child first: the dog's parents are not the dog's children.
    number = graph["wnids"].index("n02084071")
    parents = {graph["wnids"][up] for child, up in graph["edges"] if child == number}
    assert parents == {"n02083346", "n01317541"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("n02084071\nn99999999\n", "n99999999"),
        ("n02084071\ndog\n", "dog"),
        ("n02084071\nn02084071\n", "n02084071 appears twice"),
        ("# nothing\n\n", "wnids.txt"),
        (None, "wnids.txt"),
    ],
)
def test_build_graph_refuses_a_wrong_list(
    run: Run, tmp_path: Path, lines: str | None, said: str
) -> None:
    if lines is not None:
        (tmp_path / "wnids.txt").write_text(lines)
    done = run("build-graph", "--wnids", "wnids.txt", "--out", "graph.json")
    assert done.status == 2
    assert said in done.err
    assert not (tmp_path / "graph.json").exists()


def test_build_graph_needs_a_place_to_write(run: Run, tmp_path: Path) -> None:
    (tmp_path / "wnids.txt").write_text("n02084071\n")
    done = run("build-graph", "--wnids", "wnids.txt")
    assert done.status == 2
    assert "--out" in done.err


def test_show_graph_prints_a_tree_and_draws(run: Run, graph_file: Path, tmp_path: Path) -> None:
    shown = run("show-graph", "--graph", str(graph_file))
    assert shown.status == 0
    lines = shown.out.splitlines()
    dalmatian = next(i for i, line in enumerate(lines) if "dalmatian" in line)
    dogs = next(i for i, line in enumerate(lines) if line.endswith(" dog"))
    assert dogs < dalmatian
    assert lines[dalmatian].index("dalmatian") > lines[dogs].index("dog")

    assert run("show-graph", "--graph", str(graph_file), "--out", "x.svg").status == 0
    drawing = (tmp_path / "x.svg").read_text(encoding="utf-8")
    assert drawing.startswith("<svg")
    assert "dalmatian" in drawing
    assert run("show-graph", "--graph", str(graph_file), "--out", "x.html").status == 0
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "dalmatian" in page
    assert 'src="http' not in page


def test_show_graph_refuses_other_formats_and_other_files(
    run: Run, graph_file: Path, tmp_path: Path
) -> None:
    done = run("show-graph", "--graph", str(graph_file), "--out", "x.bmp")
    assert done.status == 2
    assert "x.bmp" in done.err
    assert ".svg" in done.err
    assert not (tmp_path / "x.bmp").exists()
    for name, text in (("none.json", None), ("text.json", "graph"), ("list.json", "[1, 2]")):
        if text is not None:
            (tmp_path / name).write_text(text)
        done = run("show-graph", "--graph", name)
        assert done.status == 2
        assert name in done.err


@pytest.mark.parametrize(
    "content", [None, b"", b"not HDF5 at all", b"\x89HDF\r\n\x1a\n" + bytes(200)]
)
def test_inspect_refuses_what_is_no_feature_file(
    run: Run, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "odd.h5").write_bytes(content)
    done = run("inspect", "odd.h5")
    assert done.status == 2
    assert "odd.h5" in done.err


def test_verify(run: Run, tmp_path: Path) -> None:
    done = run("verify", "nowhere")
    assert done.status == 2
    assert "nowhere" in done.err
    (tmp_path / "cached").mkdir()
    assert "cached holds no cached HDF5 file" in run("verify", "cached").err
    (tmp_path / "cached/odd.h5").write_text("x")
    (tmp_path / "cached/.odd.h5.1.tmp").write_text("x")
    done = run("verify", "cached")
    assert done.status == 1
    assert "cached/odd.h5" in done.out
    assert ".odd.h5.1.tmp was left by a step that was killed" in done.out


def test_check(run: Run, tmp_path: Path) -> None:
    done = run("check")
    assert done.status == 0
    assert "params.yaml: valid" in done.err
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"train": {"seed": 3}}))
    done = run("check", "--params", "mine.yaml")
    assert done.status == 2
    assert "train.seed: unknown key" in done.err
    assert "'seeds'" in done.err
    done = run("check", "--params", "nowhere.yaml")
    assert done.status == 2
    assert "nowhere.yaml" in done.err


def test_doctor_looks_at_a_project(run: Run) -> None:
    done = run("doctor")
    assert done.status == 0, done.out
    for line in ("params.yaml: task openmoji", "not prepared yet", "mini: EfficientNet-lite0"):
        assert line in done.out
    assert "cpu: bfloat16 is" in done.out
    assert "images/s with mini on cpu" in done.out
    assert "Nothing stops a run; " in done.out


def test_doctor_works_in_an_empty_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").unlink()
    done = run("doctor", "--json")
    assert done.status == 0, done.out
    found = json.loads(done.out)
    marks = {each["what"]: each["mark"] for each in found["findings"]}
    assert marks["parameters"] == "note"
    assert marks["disk"] == marks["precision"] == marks["speed"] == "ok"
    assert found["problems"] == 0
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"task: {nme: folder}\nsplt: {}", "task.nme: unknown key (did you mean 'name'?); "),
        (b"task: [a", "params.yaml is not valid YAML: "),
        (b"\xff\xfe", "params.yaml is not UTF-8"),
    ],
)
def test_doctor_with_broken_parameters(run: Run, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    done = run("doctor", "--json")
    assert done.status == 1
    (problem,) = [f for f in json.loads(done.out)["findings"] if f["mark"] == "problem"]
    assert said in problem["text"]
    assert "\n" not in problem["text"]
    assert problem["mend"]


@pytest.mark.parametrize("step", ["train", "evaluate"])
def test_unknown_method(run: Run, step: str) -> None:
    done = run(step, "sre_clp")
    assert done.status == 2
    assert "'sre_clp'" in done.err
    assert "did you mean 'sre_clip'?" in done.err


@pytest.mark.parametrize(
    "arguments",
    [(), ("--domain", "source"), ("--shard", "0")],
    ids=["neither", "no shard", "no domain"],
)
def test_extract_images_needs_a_shard(run: Run, arguments: tuple[str, ...]) -> None:
    done = run("extract-images", *arguments)
    assert done.status == 2
    assert "--domain and --shard" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("extract-images", "--domain", "source", "--shard", "0"),
        ("extract-images", "--key", "0123456789ab"),
        ("extract-text", "classes"),
        ("export-features", "source", "a.h5"),
        ("export-features", "nodes", "a.h5"),
        ("build-graph",),
        ("train", "zero_shot"),
        ("evaluate", "zero_shot"),
        ("compare",),
        ("report",),
        ("publish",),
        ("show-graph",),
    ],
    ids=" ".join,
)
def test_a_step_before_its_time_names_what_is_missing(
    run: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = run(*arguments)
    assert done.status == 2
    assert "results/data/openmoji-" in done.err
    assert "prepare_data" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--log", "folder", "check"), "--log folder"),
        (("--log", "file/x.log", "check"), "--log file/x.log"),
        (("check", "--params", "folder"), "folder cannot be read"),
        (("build-graph", "--wnids", "folder", "--out", "graph.json"), "folder cannot be read"),
        (("build-graph", "--wnids", "file", "--out", "folder"), "folder cannot be written"),
        (("build-graph", "--wnids", "file", "--out", "file/graph.json"), "file/graph.json"),
        (("show-graph", "--graph", "folder"), "folder cannot be read"),
        (("inspect", "folder"), "folder cannot be read"),
        (("verify", "file"), "file is not a folder"),
        (("reference", "file"), "file/parameters.md cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_folder_for_a_file_and_a_file_for_a_folder(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("n02084071\n")
    done = run(*arguments)
    assert done.status == 2
    assert said in done.err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "params.yaml"]


def test_results_of_the_published_reports(run: Run, tmp_path: Path) -> None:
    """As in a clone without a pull: git holds reports/, and results/ is not there."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/metrics.json").write_text(json.dumps(published(0.25)))
    done = run("results")
    assert done.status == 0
    assert "25.0" in done.out
    assert "Page" not in done.out, "git does not hold it"


def test_prune_refuses_an_unknown_stage(run: Run) -> None:
    done = run("prune", "feature")
    assert done.status == 2
    assert "did you mean 'features'?" in done.err


def test_log_file(run: Run, tmp_path: Path) -> None:
    assert run("--log", "logs/deep/check.log", "check").status == 0
    text = (tmp_path / "logs/deep/check.log").read_text(encoding="utf-8")
    assert "INFO params.yaml: valid" in text
    failed = run("--log", "logs/deep/check.log", "train", "nothing")
    assert failed.status == 2
    text = (tmp_path / "logs/deep/check.log").read_text(encoding="utf-8")
    assert "ERROR sreclip: method 'nothing' is not registered" in text
    assert "valid" not in text


def test_a_bug_keeps_its_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("sreclip.cli.steps.plan_of", broken)
    monkeypatch.setattr(sys, "argv", ["sreclip", "check"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    assert "RuntimeError: a bug" in capsys.readouterr().err


def test_senses_of_names_need_no_parameters(run: Run, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").unlink()
    done = run("senses", "person", "dog", "cybertruck")
    assert done.status == 0
    lines = done.out.splitlines()
    taken = next(line for line in lines if line.lstrip().startswith("person"))
    assert "→" in taken and "n00007846" in taken and "6833" in taken
    assert "organism" in taken and "a human being" in taken
    assert any("n05217688" in line and "human body" in line for line in lines)
    assert "cybertruck" in done.out and "not in WordNet" in done.out
    assert "graph: {senses: {person: n05217688}}" in done.out
    found = {item["name"]: item for item in json.loads(run("senses", "dog", "--json").out)}
    assert found["dog"]["wnid"] == found["dog"]["senses"][0]["wnid"] == "n02084071"
    assert found["dog"]["senses"][0]["hypernyms"] == ["canine", "domestic animal"]
    assert run("senses").status == 2, "the classes of which task?"


def test_senses_heed_pins_and_show_two_names_of_one_sense(run: Run, tmp_path: Path) -> None:
    values = PARAMS | {"graph": {"senses": {"crane": "n03126707", "heron": "n02008041"}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    found = json.loads(run("senses", "crane", "stork", "car", "automobile", "--json").out)
    assert [item["wnid"] for item in found[2:]] == ["n02958343", "n02958343"]
    assert found[0]["wnid"] == "n03126707"
