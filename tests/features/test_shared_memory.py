"""Decoding processes where /dev/shm is small, full or not there, as in a container."""

from __future__ import annotations

import functools
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from sreclip.features import loading
from sreclip.features.dataset import Batch
from sreclip.features.extract import ExtractionReport
from sreclip.features.loading import LostPieceError, Pieces, Watch

Extract = Callable[..., ExtractionReport]
# Pixels of 3 x 224 x 224 in float32, as those of ViT-B/16: 110 images fill 64 MB.
ENLARGED = 28
TMPFS = "mount -t tmpfs -o size=64m{more} tmpfs /dev/shm"


@functools.cache
def mounting() -> tuple[str, ...]:
    """Return the command that runs another where it may mount, empty if that is not permitted."""
    for command in (("unshare", "-m"), ("unshare", "-rm")):
        try:
            script = TMPFS.format(more="")
            done = subprocess.run([*command, "sh", "-c", script], capture_output=True, check=False)
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            return command
    return ()


SLOWER = "has no room for the pixels of {} images at a time"
ALONE = "decoding processes cannot be started"


@pytest.mark.parametrize(
    ("setup", "batch_size", "said"),
    [
        pytest.param(TMPFS.format(more=""), 128, SLOWER.format(128), id="a batch is larger"),
        pytest.param(TMPFS.format(more=""), 40, "", id="four batches are larger"),
        pytest.param(
            TMPFS.format(more="") + "; head -c 58m /dev/zero > /dev/shm/x",
            32,
            SLOWER.format(32),
            id="nearly full",
        ),
        pytest.param(
            TMPFS.format(more="") + "; head -c 65m /dev/zero > /dev/shm/x", 32, ALONE, id="full"
        ),
        pytest.param(TMPFS.format(more=",ro"), 32, ALONE, id="cannot be written"),
    ],
)
def test_little_shared_memory_changes_no_byte(
    fake: SimpleNamespace,
    extract: Extract,
    tmp_path: Path,
    setup: str,
    batch_size: int,
    said: str,
) -> None:
    if not mounting():
        pytest.skip("mounting in a namespace of its own is not permitted here")
    names = fake.make_images(tmp_path / "many", 200)
    expected, out = tmp_path / "a.h5", tmp_path / "b.h5"
    extract(fake.manifest_rows(tmp_path / "many", names), expected, root=tmp_path / "many")

    options = json.dumps([{"enlarged": ENLARGED}, {"batch_size": batch_size, "workers": 2}])
    program = [sys.executable, str(fake.program), str(tmp_path / "many"), str(out), options]
    done = subprocess.run(
        [*mounting(), "sh", "-c", f'{setup}; exec "$@"', "sh", *program],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == expected.read_bytes()
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_that_shared_memory_kills(
    rows: pd.DataFrame, extract: Extract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system does not reserve what it promises, a write to it is a bus error."""
    extract(rows, tmp_path / "a.h5")
    monkeypatch.setattr(loading, "_share", lambda _: os.kill(os.getpid(), signal.SIGBUS))
    for name, batch_size in (("b", 7), ("c", 1)):
        extract(rows, tmp_path / f"{name}.h5", workers=2, batch_size=batch_size)
        assert (tmp_path / f"{name}.h5").read_bytes() == (tmp_path / "a.h5").read_bytes()


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (lambda piece: not piece.in_pipe, ["they take another way"]),
        (lambda piece: True, ["they take another way", "this process decodes itself"]),
    ],
    ids=["in shared memory", "always"],
)
def test_pieces_that_do_not_arrive(
    rows: pd.DataFrame,
    extract: Extract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    lost: Callable[[Batch], bool],
    said: list[str],
) -> None:
    extract(rows, tmp_path / "a.h5")
    own = Batch.__getstate__

    def fail(piece: Batch) -> dict[str, object]:
        if lost(piece):
            raise OSError("AF_UNIX path too long")
        return own(piece)

    monkeypatch.setattr(Batch, "__getstate__", fail)
    monkeypatch.setattr(loading, "LOST_SECONDS", 1.0)
    with caplog.at_level(logging.WARNING):
        extract(rows, tmp_path / "b.h5", workers=2)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(said)
    assert all(words in line for words, line in zip(said, lines, strict=True))
    assert (tmp_path / "b.h5").read_bytes() == (tmp_path / "a.h5").read_bytes()


def test_processes_that_cannot_be_started(
    rows: pd.DataFrame,
    extract: Extract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As where the machine allows no more processes."""
    extract(rows, tmp_path / "a.h5")

    def refuse(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    with caplog.at_level(logging.WARNING):
        extract(rows, tmp_path / "b.h5", workers=2)
    assert "Resource temporarily unavailable" in caplog.text
    assert (tmp_path / "b.h5").read_bytes() == (tmp_path / "a.h5").read_bytes()


def test_only_idle_time_in_a_row_means_a_lost_piece() -> None:
    watch = Watch(2, limit_s=1000.0)
    watch.waited(100.0)  # the processes start
    watch._table[0, :] = torch.tensor([11, -1, 1])
    watch.waited(100.0)  # one of them reads
    watch._table[0, 2] = 0
    watch.waited(29.0)
    watch.came()
    watch.waited(29.0)
    with pytest.raises(LostPieceError):
        watch.waited(2.0)


def test_pieces_of_this_process_are_not_shared(rows: pd.DataFrame, root: Path) -> None:
    from sreclip.features.dataset import ImageDataset

    images = ImageDataset(rows, root, lambda image: torch.zeros(3, 8, 8), 10_000)
    piece = Pieces(images, Watch(0, 1.0), in_pipe=False)[[0, 1]]
    assert piece.pixels is not None
    assert not piece.pixels.is_shared()
    assert not multiprocessing.active_children()
