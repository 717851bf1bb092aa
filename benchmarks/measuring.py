"""What benchmarks share: memory, clocks, processes of their own, and words on the machine."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def peak_mb() -> float:
    """Most memory that this process has held so far."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def timed(call: Callable[[], object], times: int) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return seconds


def in_own_process(call: Callable[..., T], *arguments: object) -> T:
    """Call in a fresh process, so that its peak memory is its own.

    Spawned, not forked: a forked process starts with the memory of this one. For the same reason
    this process should not import torch.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def show(text: str, out: Path | None) -> None:
    """Print a document, and write it if there is a file for it."""
    if out:
        out.write_text(text, encoding="utf-8")
    print(text, end="")


def machine() -> str:
    """What the numbers depend on beside the code."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return f"{os.cpu_count()} cores ({cpu}), torch {version('torch')}"


def commit() -> str:
    """Short name of the checkout's commit, with a word on changed files."""
    root = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    name = git("rev-parse", "--short", "HEAD")
    changed = bool(git("status", "--porcelain", "--", "../sreclip", "."))
    return (name or "unknown") + (" with changed files" if changed else "")


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table: whole from 100 on, a dash for nothing."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.{digits}f}"
