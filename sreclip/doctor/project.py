"""The project in the working folder: parameters, task, room on the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sreclip.data.manifest import DOMAINS
from sreclip.doctor.architecture import architecture_of
from sreclip.doctor.finding import Finding, note, of_error, ok, problem, size
from sreclip.doctor.limits import memory
from sreclip.errors import ConfigError
from sreclip.plan.plan import Plan
from sreclip.plan.run import PARAMS_FILE, read_run_params

# Text vectors, graphs, scores and pages of a task of common size.
BESIDE_FEATURES = 10**9


class Images(NamedTuple):
    """Images of the prepared task, and those of them without features yet."""

    all: int
    left: int


def parameters(file: Path) -> tuple[Plan | None, Finding]:
    """Read the parameters; without a plan there is nothing to run."""
    if file == PARAMS_FILE and not file.exists():
        return None, note(
            "parameters",
            "no params.yaml here: this folder is no project, and only the machine is looked at",
            "write one with: sreclip init SOURCE TARGET; or go to a folder that has one",
        )
    try:
        plan = Plan(read_run_params(file))
    except ConfigError as error:
        found = of_error("parameters", error)
        return None, problem(
            found.what, found.text, found.mend or f"mend {file}; then sreclip check"
        )
    task = plan.params.task.name
    return plan, ok("parameters", f"{file}: task {task}, backbone {plan.params.backbone.label}")


def task(plan: Plan) -> Iterator[Finding]:
    """Say whether the images are listed already."""
    images = images_of(plan)
    if images is None:
        yield ok("task", "not prepared yet; sreclip check looks at its images and classes")
    else:
        yield ok("task", f"{images.all:,} images, {images.left:,} of them without features yet")


def images_of(plan: Plan) -> Images | None:
    """Count the images; None before the task is prepared."""
    if not (plan.task.path / "summary.json").exists():
        return None
    count = sum(map(len, plan.shards))
    try:
        features = {domain: plan.images(domain) for domain in DOMAINS}
    except ConfigError:  # weights that are missing, which `weights` says
        return Images(count, count)
    left = sum(
        len(shard)
        for domain, results in features.items()
        for shard, result in zip(plan.domain_shards(domain), results, strict=True)
        if not result.path.exists()
    )
    return Images(count, left)


def disk(plan: Plan | None) -> Iterator[Finding]:
    """Hold the free room where results lie against what the features take."""
    folder = existing(Path("results"))
    if not os.access(folder, os.W_OK):
        yield problem(
            "disk", f"{folder.resolve()} cannot be written", "make it writable, or go elsewhere"
        )
        return
    free = shutil.disk_usage(folder).free
    needed, why = (0, "") if plan is None else _features(plan)
    with_cache = Path(".dvc").is_dir()
    needed *= 1 + with_cache
    text = f"{size(free)} free in {folder.resolve()}{why}"
    if why and with_cache:
        text += ", twice with DVC's cache"
    if needed > free:
        yield problem("disk", text, "free some room, or make results/ a link to a larger disk")
    elif needed + BESIDE_FEATURES > free:
        yield note("disk", text, f"leave {size(BESIDE_FEATURES)} for fits, scores and pages")
    else:
        yield ok("disk", text)


def _features(plan: Plan) -> tuple[int, str]:
    """Return the bytes that features yet to be made take, and how that comes about."""
    images = images_of(plan)
    width = None if images is None else width_of(plan)
    if images is None or width is None or not images.left:
        return 0, ""
    n_bytes = images.left * width
    return n_bytes, f"; features to be made: {images.left:,} images x {width:,} B = {size(n_bytes)}"


def width_of(plan: Plan) -> int | None:
    """Return the bytes of an image's features, of a prepared task; None if not known."""
    dim = plan.ready["width"] if plan.ready else None
    if dim is None and (architecture := architecture_of(plan.params.backbone)) is not None:
        dim = architecture.dim
    return None if dim is None else dim * np.dtype(plan.params.features.dtype).itemsize


def memory_of_fits(plan: Plan) -> Iterator[Finding]:
    """Hold the features, which a fit reads as a whole, against the memory."""
    images, free = images_of(plan), memory().free
    width = None if images is None else width_of(plan)
    if images is None or width is None or free is None or images.all * width < free:
        return
    yield note(
        "memory",
        f"a fit holds all features, {size(images.all * width)}, and {size(free)} are free",
        "run on a machine with more memory (docs/cluster.md), or choose a narrower model",
    )


def existing(path: Path) -> Path:
    """Return a path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())
