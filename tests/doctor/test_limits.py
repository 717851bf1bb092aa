"""Cores and memory that a control group leaves, against files as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sreclip.doctor.limits import Cores, Memory, cores, memory

MEMINFO = "MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)


def test_without_control_groups(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": MEMINFO})
    assert cores(tmp_path) == Cores(8, 6, None)
    assert cores(tmp_path).usable == 6
    assert memory(tmp_path) == Memory(16_384_000_000, 8_192_000_000, False)


def test_version_2_takes_the_strictest_group_on_the_way_up(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/user/job\n",
        "sys/fs/cgroup/user/job/cpu.max": "max 100000\n",
        "sys/fs/cgroup/user/cpu.max": "250000 100000\n",
        "sys/fs/cgroup/user/job/memory.max": "4000000000\n",
        "sys/fs/cgroup/user/job/memory.current": "3000000000\n",
        "sys/fs/cgroup/user/job/memory.stat": "anon 1\ninactive_file 500000000\n",
        "sys/fs/cgroup/user/memory.max": "max\n",
    }
    write(tmp_path, files)
    assert cores(tmp_path) == Cores(8, 6, 2.5)
    assert cores(tmp_path).usable == 2.5
    assert memory(tmp_path) == Memory(4_000_000_000, 1_500_000_000, True)


def test_version_1_of_a_container_whose_group_is_not_to_be_seen(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n2:pids:/x\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000000\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "900000000\n",
    }
    write(tmp_path, files)
    assert cores(tmp_path) == Cores(8, 6, 0.5)
    assert memory(tmp_path) == Memory(1_000_000_000, 100_000_000, True)


def test_limits_that_are_none(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "4:memory:/\n1:cpu:/\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "900000000\n",
    }
    write(tmp_path, files)
    assert cores(tmp_path) == Cores(8, 6, None)
    assert memory(tmp_path) == Memory(16_384_000_000, 8_192_000_000, False)
