"""The benchmarks run, and what they compare with does the same maths; times are never looked at."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sreclip.methods import METHODS
from tests.pretended_gpu import PretendedGpu

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
WITH_A_PLAIN_LOOP = {"clip_adapter", "taskres", "sre_clip_reference", "sre_clip"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_file("training.py", "--size", "tiny", "--threads", "1", "--steps", "3", *arguments)


def run_file(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def table_rows(text: str) -> dict[str, list[str]]:
    """Cells after the first one, by the first one, of the table with the methods."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_every_method_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "training.md"
    done = run("--one-process", "--encoded", "0", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert out.read_text() == done.stdout
    rows = table_rows(done.stdout)
    assert rows.keys() == {f"`{name}`" for name in METHODS} | {
        "`sre_clip_reference`, precision bfloat16",
        "`sre_clip`, steps 200",
    }
    for label, cells in rows.items():
        plain, products, encoded, _, end, peak, before = cells
        name = label.split("`")[1]
        assert (plain != "-") == (name in WITH_A_PLAIN_LOOP and label != "`sre_clip`")
        assert (products != "-") == ("reference" in label)
        assert encoded == "-"
        assert float(end.strip("~ ").replace(",", "")) >= 0
        assert int(peak.replace(",", "")) >= int(before.replace(",", "")) > 0
    assert re.search(r"^First losses of the plain loops are equal to ours", done.stdout, re.M)
    for label in ("precision float32", "precision bfloat16", "seed 1"):
        assert re.search(rf"^\| {label} \|.* %", done.stdout, re.M)


def test_a_process_a_row_and_the_encoder() -> None:
    done = run("--methods", "taskres", "--encoded", "1")
    assert done.returncode == 0, done.stderr
    (cells,) = table_rows(done.stdout).values()
    assert cells[2] != "-"
    assert cells[4].startswith("~")


def test_to_the_end_nothing_is_extrapolated() -> None:
    done = run("--methods", "tip_adapter_f,taskres", "--encoded", "0", "--full", "--one-process")
    assert done.returncode == 0, done.stderr
    assert "~" not in done.stdout


@pytest.mark.parametrize("arguments", [["--methods", "nothing"], ["--scale", "2"]])
def test_bad_arguments_are_refused(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def two_columns(text: str) -> dict[str, str]:
    """Second cell by the first one."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return {row[0].strip(): row[1].strip() for row in rows}


def test_extraction_beside_a_plain_loop(tmp_path: Path) -> None:
    out = tmp_path / "extraction.md"
    settings = ["--model", "ViT-S-32-alt", "--images", "9", "--batch", "4", "--rounds", "1"]
    settings += ["--threads", "1", "--precision", "bfloat16"]
    done = run_file("extraction.py", *settings, "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert out.read_text() == done.stdout
    rows = two_columns(done.stdout)
    for label in ("ours / plain loop", "ours / limit of the cores", "ours / bare model"):
        assert float(rows[label]) > 0
    assert re.fullmatch(r"\d+\.\d\d %", rows["writing, fraction of the time"])
    assert 0 < float(rows["1 - cosine to float32, at most"]) < 1e-2
    assert re.fullmatch(r"read \d+%, decode .*model \d+%, write \d+%; .*", rows["work of ours"])


def test_extraction_of_no_images_is_refused(tmp_path: Path) -> None:
    done = run_file("extraction.py", "--root", str(tmp_path), "--model", "ViT-S-32-alt")
    assert done.returncode == 1
    assert f"no images below {tmp_path}" in done.stderr


def test_ways_to_decode() -> None:
    done = run_file("decoding.py", "--images", "3", "--rounds", "1", "--sides", "1600x1200")
    assert done.returncode == 0, done.stderr
    rows = [line.strip("|").split("|") for line in done.stdout.splitlines() if line[:3] == "| 1"]
    ways = {row[1].strip(): [float(cell) for cell in row[2:]] for row in rows}
    assert [name.partition(",")[0] for name in ways][:2] == ["Pillow", "Pillow draft"]
    default, reduced, reduced_more = list(ways.values())[:3]
    assert default[1:] == [1, 0, 0]
    assert 0 < reduced[3] < reduced_more[3]
    for name in ("simplejpeg", "PyTurboJPEG"):
        assert any(way.startswith(name) for way in ways) != (f"Not measured: {name}" in done.stdout)


def test_reading_beside_plain_reads(tmp_path: Path) -> None:
    done = run_file("reading.py", "--rows", "9000", "--rounds", "1", "--folder", str(tmp_path))
    assert done.returncode == 0, done.stderr
    rows = two_columns(done.stdout)
    assert float(rows["raw bytes"]) > 0
    for label in ("in order", "9,000 random rows"):
        assert rows[f"plain HDF5 data set, {label}"] == "1.00"
    for label in ("in order", "chunks of 4,096 rows shuffled", "9,000 random rows"):
        assert float(rows[f"shards, {label}"]) > 0
    assert list(tmp_path.iterdir()) == []


def test_both_searches_for_neighbours() -> None:
    done = run_file("neighbours.py", "--images", "200,300", "--classes", "20", "--threads", "1")
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if "%" in line]
    assert [row[0] for row in rows] == ["200", "300"]
    # So few images are searched exactly.
    assert all(row[3] == "100.0 %" and row[4] == row[5] for row in rows)


def test_the_whole_pipeline_at_a_tiny_scale(tmp_path: Path) -> None:
    out, work, vectors = tmp_path / "scale.md", tmp_path / "work", tmp_path / "vectors"
    vectors.mkdir()
    # A stand-in for CLIP's vectors of LVIS names: one name is a class of the task.
    np.save(vectors / "lvis_v1_clip_a+cname.npy", np.eye(2, 512, dtype=np.float16) + 0.01)
    names = [{"name": name, "synonyms": [name]} for name in ("tench", "no_class")]
    (vectors / "lvis_v1_train_cat_info.json").write_text(json.dumps(names))
    settings = ["--known", "4", "--unknown", "5", "--scale", "1/8192,1/4096", "--threads", "1"]
    settings += [
        "--one-process",
        "--steps",
        "2",
        "--methods",
        "zero_shot,sre_clip",
        "--neighbours",
        "approximate",
        "--text-vectors",
        str(vectors),
    ]
    done = run_file("scale.py", "--work", str(work), *settings, "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert out.read_text() == done.stdout
    rows = [line.strip("|").split("|") for line in done.stdout.splitlines() if line[:2] == "| "]
    table = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[2:]}
    assert {"graph and similarities", "fit `sre_clip`", "evaluate `zero_shot`", "page"} < set(table)
    for cells in table.values():
        assert len(cells) == 7
        assert all(float(cell.replace(",", "")) >= 0 for cell in cells)
    assert len(re.findall(r"zero-shot again in numpy; \d+ of \d+ differ: yes", done.stdout)) == 2
    assert "NO" not in done.stdout
    assert "Neighbours: approximate." in done.stdout
    # Features are removed unless they are to be kept.
    assert list(work.rglob("predictions.parquet"))
    assert not list(work.rglob("images"))


def test_the_script_for_a_gpu_runs_on_a_pretended_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both devices are one there, so that the scores must be the same."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    gpu = importlib.import_module("gpu")
    extraction = ["--models", "ViT-B-32", "--precision", "float32", "--images", "4", "--batch", "2"]
    fits = ["--workers", "0", "--sizes", "tiny", "--methods", "zero_shot", "taskres", "zlap"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *extraction, *fits])
    monkeypatch.setattr(gpu, "SHORT", ("tiny",))
    with PretendedGpu():
        gpu.main()
    printed = capsys.readouterr().out
    assert re.search(r"^\| ours / bare model \| \d", printed, re.MULTILINE)
    rows = re.findall(r"^\| tiny \| `(\w+)` .* \| 100.00 % \| 0.0e\+00 \|", printed, re.MULTILINE)
    assert rows == ["zero_shot", "taskres"], "cut short: the quick ones alone"


def test_seeds_apart_and_together() -> None:
    options = ["--size", "tiny", "--methods", "taskres,sre_clip", "--rounds", "1"]
    done = run_file("seeds.py", *options, "--seeds", "2", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert table_rows(done.stdout).keys() == {"`taskres`", "`sre_clip`"}
