"""What this process may use of the machine: affinity and control groups taken into account."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/")


class Cores(NamedTuple):
    """Cores of the machine, those that the process may run on, and a quota of their time."""

    machine: int
    allowed: int
    quota: float | None

    @property
    def usable(self) -> float:
        """Cores that there is time on."""
        return self.allowed if self.quota is None else min(self.allowed, self.quota)


class Memory(NamedTuple):
    """Bytes that the process may use, and those of them that are free; None if not known."""

    total: int | None
    free: int | None
    limited: bool


def cores(root: Path = ROOT) -> Cores:
    """Return what this process has of the processors."""
    machine = os.cpu_count() or 1
    tells = hasattr(os, "sched_getaffinity")  # not every system does
    allowed = len(os.sched_getaffinity(0)) if tells else machine
    quotas = []
    for folder in _groups(root, "cpu"):
        with contextlib.suppress(OSError, ValueError):
            limit, period = (folder / "cpu.max").read_text().split()
            quotas.append(int(limit) / int(period))
        with contextlib.suppress(OSError, ValueError):
            limit, period = (
                (folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
            )
            quotas += [int(limit) / int(period)] if int(limit) > 0 else []
    return Cores(machine, allowed, min(quotas, default=None))


def memory(root: Path = ROOT) -> Memory:
    """Return what this process has of the memory."""
    total, free = _memory_of_the_machine(root)
    limited = False
    for folder in _groups(root, "memory"):
        # A limit of version 1 that is none is a number larger than any memory.
        limit = _number(folder, "memory.max", "memory.limit_in_bytes")
        used = _number(folder, "memory.current", "memory.usage_in_bytes")
        if limit is None or used is None or total is None or limit >= total:
            continue
        total, limited = limit, True
        left = max(0, limit - used + _droppable(folder))
        free = left if free is None else min(free, left)
    return Memory(total, free, limited)


def _memory_of_the_machine(root: Path) -> tuple[int | None, int | None]:
    with contextlib.suppress(OSError, ValueError, KeyError):
        rows = (line.split() for line in (root / "proc/meminfo").read_text().splitlines())
        kilobytes = {row[0]: int(row[1]) for row in rows}
        return kilobytes["MemTotal:"] * 1024, kilobytes["MemAvailable:"] * 1024
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), None
    return None, None


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups that this process is in, inner ones first.

    In a container the groups above it are not to be seen, and its own lies at the top.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = mounted / controllers if controllers else mounted
        inner = Path(path.lstrip("/"))
        yield from (top / each for each in (inner, *inner.parents))


def _number(folder: Path, *names: str) -> int | None:
    """Return the number in the first of these files that holds one."""
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            return int((folder / name).read_text())
    return None


def _droppable(folder: Path) -> int:
    """Return the bytes of read files that the system drops when it needs the memory."""
    with contextlib.suppress(OSError, ValueError):
        rows = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(rows.get("total_inactive_file", rows.get("inactive_file", 0)))
    return 0
