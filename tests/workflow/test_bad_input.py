"""What people's folders hold in truth: each thing is read, or named, and nothing is half done."""

from __future__ import annotations

import json
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from sreclip.evaluate.confusion import confusion_table
from tests.workflow.conftest import ROOT, WORKFLOW_FILES, Project, draw_image

pytestmark = pytest.mark.workflow

# Path below the data root, and a word of the reason.
UNREADABLE = {
    "source/cat/text.jpg": "not an image",
    "source/dog/truncated.jpg": "truncated",
    "target/cat/empty.png": "0 bytes",
    "target/car/bomb.png": "pixels",
    "target/car/text.jpg": "not an image",
    "target/dog/truncated.jpg": "truncated",
}
ODD = (
    "source/cat/cmyk.jpg",
    "source/dog/sixteen_bits.png",
    "target/cat/palette.png",
    "target/car/turned.jpg",
    "target/horse/cmyk.jpg",
)
N_SOURCE, N_TARGET = 3 * 6 + 2, 4 * 6 + 3 + 1  # readable ones; one more is the upright image


def write_unreadable(root: Path) -> None:
    """Write the files of `UNREADABLE`."""
    for place in ("source/cat/text.jpg", "target/car/text.jpg"):
        (root / place).write_text(f"These are words, not an image: {place}.")
    for seed, place in enumerate(("source/dog/truncated.jpg", "target/dog/truncated.jpg")):
        noise = np.random.default_rng(seed).integers(0, 256, (96, 96, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / place, quality=90)
        whole = (root / place).read_bytes()
        (root / place).write_bytes(whole[: len(whole) // 2])
    (root / "target/cat/empty.png").write_bytes(b"")

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (root / "target/car/bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def write_odd(root: Path) -> None:
    """Write the images of `ODD`, and ``upright.png``: ``turned.jpg`` as one sees it."""
    drawn = root / "drawn.png"
    draw_image(drawn, 0, 7, lines=False)
    with Image.open(drawn) as image:
        image.convert("CMYK").save(root / "source/cat/cmyk.jpg")
        image.rotate(20, fillcolor="white").convert("CMYK").save(root / "target/horse/cmyk.jpg")
        palette = image.quantize(8)
        palette.save(root / "target/cat/palette.png", transparency=palette.getpixel((0, 0)))
        sixteen = np.asarray(image.convert("L")).astype(np.uint16) * 257
        Image.fromarray(sixteen).save(root / "source/dog/sixteen_bits.png")
    drawn.unlink()
    upright = np.full((96, 96, 3), 255, dtype=np.uint8)
    upright[:32] = (200, 30, 30)
    upright[32:64, :48] = (20, 20, 160)
    Image.fromarray(upright).save(root / "target/car/upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it
    Image.fromarray(np.rot90(upright)).save(
        root / "target/car/turned.jpg", exif=exif, quality=95, subsampling=0
    )


@pytest.fixture(scope="module")
def mixed(project: Project) -> Project:
    """Give the project with good, odd and unreadable images, of which few are accepted."""
    write_unreadable(project.folder / "data")
    write_odd(project.folder / "data")
    project.edit(task__shard_size=64, features__max_rejects=0.02, methods__run=["sre_clip"])
    return project


@dataclass(frozen=True)
class Stopped:
    """A run that stopped: its status, what it printed, what it left in ``results/``."""

    status: int
    printed: str
    left: set[str]
    verified: str


@pytest.fixture(scope="module")
def stopped(mixed: Project) -> Stopped:
    """Run everything, which stops at the limit."""
    run = mixed.run("snakemake", "--cores", "2", "all", check=False)
    results = mixed.folder / "results"
    left = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    verified = mixed.run("sreclip", "verify", check=False).stdout
    return Stopped(run.returncode, run.stdout + run.stderr, left, verified)


@pytest.fixture(scope="module")
def done(mixed: Project, stopped: Stopped) -> Project:
    """Raise the limit and run the rest."""
    shards = {path: path.stat().st_mtime_ns for path in feature_files(mixed)}
    assert shards
    mixed.edit(features__max_rejects=0.5)
    mixed.snakemake("all")
    # The limit decides no feature: what was encoded before the stop is used.
    assert all(path.stat().st_mtime_ns == before for path, before in shards.items())
    return mixed


def feature_files(project: Project) -> list[Path]:
    return sorted((project.folder / "results/features").rglob("*.h5"))


def only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    assert len(found) == 1, (pattern, found)
    return found[0]


def test_too_many_rejects_stop_the_run(mixed: Project, stopped: Stopped) -> None:
    assert stopped.status != 0
    assert "more than features.max_rejects = 0.02 allows" in stopped.printed
    assert "raise features.max_rejects" in stopped.printed
    assert any(f"{path}: " in stopped.printed for path in UNREADABLE)
    logs = "".join(path.read_text() for path in (mixed.folder / "logs").rglob("*.log"))
    assert "Traceback" not in stopped.printed + logs
    # The failed job says why, once; a place in the rules would say nothing.
    assert re.search(r"^failed: make_bundle [\w ]+ \(log: logs/make_bundle/", stopped.printed, re.M)
    for noise in ("RuleException", "CalledProcessError", ".smk", "Shutting down"):
        assert noise not in stopped.printed


def test_what_the_stopped_run_left_is_whole(stopped: Stopped, done: Project) -> None:
    assert "all whole" in stopped.verified
    assert not [path for path in stopped.left if path.endswith(".tmp")]
    # Each domain has more rejects than are allowed, so nothing was fitted.
    stages = {path.split("/")[0] for path in stopped.left}
    assert stages <= {"data", "cache", "params", "records", "features", "graph"}
    assert done.planned_jobs("all") == {}


def test_readable_ones_are_read_and_the_others_flagged(done: Project) -> None:
    files = sorted((done.folder / "results/features").glob("*/images/*.h5"))
    paths = pd.read_parquet(only(done.folder, "results/data/*/manifest.parquet"))
    path_of = paths.set_index("row_id")["path"]
    ok: dict[str, bool] = {}
    rows: dict[str, np.ndarray] = {}
    reasons: dict[str, str] = {}
    for file in files:
        with h5py.File(file) as shard:
            for row_id, flag, row in zip(
                shard["row_id"][:], shard["ok"][:], shard["features"][:], strict=True
            ):
                ok[path_of[row_id]] = bool(flag)
                rows[path_of[row_id]] = row.astype(np.float64)
            for reject in json.loads(shard["rejects"][:].tobytes()):
                reasons[path_of[reject["row_id"]]] = reject["reason"]
                assert path_of[reject["row_id"]] == reject["path"]
    assert len(ok) == N_SOURCE + N_TARGET + len(UNREADABLE)
    assert {path for path, good in ok.items() if not good} == set(UNREADABLE) == set(reasons)
    for path, word in UNREADABLE.items():
        assert word in reasons[path]
        assert not rows[path].any()
    assert all(ok[path] for path in ODD)
    # The turned JPEG is what one sees, but for the loss of JPEG.
    assert rows["target/car/turned.jpg"] @ rows["target/car/upright.png"] > 0.99


def test_rejects_are_listed_for_people(done: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    page = (done.folder / "reports/index.html").read_text()
    shown = "".join(
        done.run("sreclip", "inspect", str(file)).stdout
        for file in (done.folder / "results/features").glob("*/images/*.h5")
    )
    for path, word in UNREADABLE.items():
        row = next(line for line in shown.splitlines() if f"{path}: " in line)
        assert word in row
        after = page.partition(path)[2]
        assert word in after[:200], after[:200]
    assert not any(f"{path}: " in shown for path in ODD)

    table = pd.read_csv(done.folder / "reports/tables/rejects.csv").set_index("path")
    assert dict.fromkeys(UNREADABLE, True) == {
        path: UNREADABLE[path] in row["reason"] and path.startswith(row["domain"])
        for path, row in table.iterrows()
    }
    logs = "".join(path.read_text() for path in (done.folder / "logs/extract_images").glob("*.log"))
    assert all(f"rejected: {path}: " in logs for path in UNREADABLE)
    line = "Rejected images: 2 source, 4 target; listed in reports/tables/rejects.csv"
    assert line in done.run("sreclip", "results").stdout


def test_rejects_take_no_part_in_training_and_count_as_wrong(done: Project) -> None:
    fit = json.loads(only(done.folder, "results/models/*/*/sre_clip-*/fit.json").read_text())
    assert (fit["n_source"], fit["n_target"]) == (N_SOURCE, N_TARGET)
    folder = only(done.folder, "results/evaluations/*/*/sre_clip-*")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    rejected = {path for path in UNREADABLE if path.startswith("target")}
    assert evaluation["n_images"] == N_TARGET + len(rejected)
    assert evaluation["n_rejected"] == len(rejected)

    rows = pd.read_parquet(folder / "predictions.parquet")
    gone = rows["path"].isin(rejected)
    assert (rows["predicted"][gone] == -1).all()
    assert (rows["predicted"][~gone] >= 0).all()
    names = rows["path"].str.split("/").str[1]
    assert [evaluation["classes"][label] for label in rows["label"]] == names.tolist()
    right = rows["predicted"] == rows["label"]
    known = names != "car"
    by_hand = {
        "known_micro": right[known].mean(),
        "unknown_micro": right[~known].mean(),
        "all_micro": right.mean(),
        "known": right[known].groupby(names[known]).mean().mean(),
        "unknown": right[~known].mean(),
        "all": right.groupby(names).mean().mean(),
    }
    # The parquet file holds the predictions of the first seed.
    got = {name: evaluation["runs"][0][name] for name in by_hand}
    assert got == pytest.approx(by_hand)
    confusion = confusion_table(evaluation["confusion"], len(evaluation["classes"]))
    per_class = pd.Series(names[gone]).value_counts()
    assert confusion[:, -1].tolist() == [
        len(evaluation["seeds"]) * per_class.get(name, 0) for name in evaluation["classes"]
    ]


SENSES = {"cat": "n02121620", "dog": "n02084071"}


@pytest.fixture
def small(tmp_path: Path) -> Project:
    """Give two classes, an image of each in both domains, and no workflow beside them."""
    for kind, name in enumerate(SENSES):
        for domain in ("source", "target"):
            seed = kind + 10 * (domain == "target")
            draw_image(tmp_path / f"data/{domain}/{name}/a.png", kind, seed, lines=False)
    params = {
        "task": {"name": "folder", "folder": {"root": "data"}},
        "graph": {"senses": SENSES},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return Project(tmp_path)


def add_class(project: Project, name: str, *, pinned: str | None = None) -> None:
    draw_image(project.folder / f"data/source/{name}/b.png", 2, len(name), lines=True)
    if pinned:
        project.edit(graph__senses=SENSES | {name: pinned})


def refused(project: Project, *command: str) -> str:
    """Run a step that must end as a user's mistake does; give what it said."""
    done = project.run("sreclip", *command, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "\n  -> " in done.stderr, "no way out is told"
    return done.stderr


def nothing_prepared(project: Project) -> bool:
    return not list((project.folder / "results").rglob("manifest.parquet"))


def test_empty_class_folder(small: Project) -> None:
    (small.folder / "data/source/horse").mkdir()
    said = refused(small, "prepare-data")
    assert "class folders without an image: 'source/horse'" in said
    assert "task.folder.classes" in said
    assert nothing_prepared(small)


def test_class_without_a_sense(small: Project) -> None:
    add_class(small, "horze")
    small.run("sreclip", "prepare-data")
    said = refused(small, "build-graph")
    assert "horze: near" in said
    assert "horse (n0" in said
    assert "graph.senses" in said
    assert "graph.allow_unmapped" in said
    assert not list((small.folder / "results/graph").rglob("*.json"))

    small.edit(graph__allow_unmapped=True)
    small.run("sreclip", "build-graph")
    graph = json.loads(only(small.folder, "results/graph/*/graph.json").read_text())
    assert "text:horze" in graph["wnids"]


def test_two_classes_with_one_sense(small: Project) -> None:
    add_class(small, "puppy", pinned=SENSES["dog"])
    small.run("sreclip", "prepare-data")
    said = refused(small, "build-graph")
    assert "'dog' and 'puppy' both mean n02084071" in said
    assert "merge the two, or pin another sense" in said
    small.edit(graph__senses=SENSES | {"puppy": "n01322604"})
    small.run("sreclip", "build-graph")


def test_target_class_that_is_not_listed(small: Project) -> None:
    draw_image(small.folder / "data/target/horse/a.png", 3, 3, lines=True)
    (small.folder / "data/classes.txt").write_text("cat\ndog\n")
    small.edit(task__folder__classes="classes.txt")
    said = refused(small, "prepare-data")
    assert "target class folders that data/classes.txt does not list: 'target/horse'" in said
    assert "add them to the list" in said
    (small.folder / "data/classes.txt").write_text("cat\ndog\nhorse\n")
    small.run("sreclip", "prepare-data")


def test_an_image_in_both_domains(small: Project) -> None:
    data = small.folder / "data"
    (data / "target/dog/copy.png").write_bytes((data / "source/dog/a.png").read_bytes())
    said = refused(small, "prepare-data")
    assert "target/dog/copy.png = source/dog/a.png" in said
    assert "'drop_target'" in said
    assert nothing_prepared(small)

    small.edit(task__duplicates="drop_target")
    assert "dropped because the source has them: 1" in small.run("sreclip", "prepare-data").stderr
    rows = pd.read_parquet(only(small.folder, "results/data/*/manifest.parquet"))
    assert "target/dog/copy.png" not in set(rows["path"])
    assert len(rows) == 4


def test_manifest_that_leaves_the_root(small: Project) -> None:
    draw_image(small.folder / "x.png", 0, 1, lines=True)
    small.run("sreclip", "prepare-data")
    manifest = only(small.folder, "results/data/*/manifest.parquet")
    rows = pd.read_parquet(manifest)
    extract = ("extract-images", "--domain", "source", "--shard", "0")
    for path in ("../x.png", "source/../../x.png", str(small.folder / "x.png")):
        rows.assign(path=rows["path"].mask(rows.index == 0, path)).to_parquet(manifest)
        said = refused(small, *extract)
        assert f"row 0: path {path!r} leaves the data root" in said
    assert not (small.folder / "results/features").exists()

    rows.to_parquet(manifest)
    assert "no shard" in refused(small, "extract-images", "--key", "0123456789ab")


@pytest.mark.parametrize("of", ["image", "class folder"])
def test_link_out_of_the_root(small: Project, of: str) -> None:
    draw_image(small.folder / "elsewhere/x.png", 0, 1, lines=True)
    place = "data/source/horse" if of == "class folder" else "data/source/cat/x.png"
    target = "elsewhere" if of == "class folder" else "elsewhere/x.png"
    (small.folder / place).symlink_to(small.folder / target)
    said = refused(small, "prepare-data")
    assert f"{place}: the link leads out of the data root" in said
    assert "copy the images into the root" in said
    assert nothing_prepared(small)


def test_snakemake_says_the_same(small: Project) -> None:
    for name in WORKFLOW_FILES[:2]:
        (small.folder / name).symlink_to(ROOT / name)
    (small.folder / "data/source/horse").mkdir()
    done = small.run("snakemake", "--cores", "1", "prepare_data", check=False)
    printed = done.stdout + done.stderr
    assert done.returncode != 0
    assert "class folders without an image: 'source/horse'" in printed
    assert "Traceback" not in printed
    (small.folder / "data/source/horse").rmdir()
    (small.folder / "data/source/horse").symlink_to(small.folder / "workflow")
    done = small.run("snakemake", "--cores", "1", "-n", check=False)
    printed = done.stdout + done.stderr
    assert done.returncode != 0
    assert "data/source/horse: the link leads out of the data root" in printed
    assert "Traceback" not in printed
    assert nothing_prepared(small)
