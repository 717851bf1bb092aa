"""The machine: processors, memory, threads."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator

from sreclip.doctor.finding import Finding, note, ok, size
from sreclip.doctor.limits import cores, memory

# A job that extracts with a large model, or fits, takes up to this much beside the features.
JOB_MEMORY = 2 * 10**9


def system() -> Iterator[Finding]:
    """Name the system."""
    yield ok("system", f"{platform.system()} {platform.release()}, {platform.machine()}")


def processors() -> Iterator[Finding]:
    """Count the cores that this process may use."""
    found = cores()
    text = f"{found.usable:g} of {found.machine}"
    if found.quota is None or found.quota >= found.allowed:
        yield ok("cores", text)
        return
    yield note(
        "cores",
        f"{text}: a control group gives the time of {found.quota:g}, but snakemake --cores all "
        f"would start {found.allowed} jobs",
        f"snakemake --cores {max(1, int(found.quota))} all",
    )


def threads() -> Iterator[Finding]:
    """Look at the threads that commands by hand take."""
    set_to, n_cores = os.environ.get("OMP_NUM_THREADS"), cores().allowed
    if set_to:
        yield ok("threads", f"OMP_NUM_THREADS is {set_to}")
    elif n_cores == 1:
        yield ok("threads", "one core, one thread")
    else:
        yield note(
            "threads",
            f"OMP_NUM_THREADS is not set: commands by hand take {n_cores} threads, which makes "
            "small operations slower (a fit of 0.8 s took 6 s with two threads); Snakemake sets it "
            "for its own jobs",
            "export OMP_NUM_THREADS=1",
        )


def memory_at_hand() -> Iterator[Finding]:
    """Look at the memory that this process may use."""
    found = memory()
    if found.total is None:
        yield ok("memory", "this system does not tell")
        return
    text = size(found.total)
    if found.free is not None:
        text = f"{size(found.free)} free of {text}"
    if found.limited:
        text += ", the limit of a control group"
    if found.free is None or found.free >= JOB_MEMORY:
        yield ok("memory", text)
    else:
        yield note(
            "memory",
            f"{text}: a job may take {size(JOB_MEMORY)}, and the system kills what finds no more",
            "close other programs, or run one job at a time: snakemake --cores 1 all",
        )
