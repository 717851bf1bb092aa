"""The parameters' model on this machine: weights, devices, speed. Most of it needs torch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from sreclip.doctor.architecture import VIT_B_32, architecture_of
from sreclip.doctor.finding import Finding, duration, note, ok, problem, rate, size
from sreclip.doctor.limits import cores
from sreclip.doctor.project import existing, images_of
from sreclip.errors import ConfigError
from sreclip.plan.plan import Plan

# Images of ImageNet's size that a core decodes per second (docs/performance.md).
DECODED = 290
# Extraction that takes longer is worth a thought beforehand.
LONG_SECONDS = 3600
_BRING = "bring the Hub's cache of a machine that has it (HF_HOME), or a file (docs/weights.md)"
_FASTER = (
    "set features.device: cuda where there is a GPU; use many machines (docs/cluster.md); or "
    "choose a smaller model, such as ViT-B-32"
)


def weights(plan: Plan, *, network: bool) -> Iterator[Finding]:
    """Look for the weights of the parameters' backbone, without loading them."""
    backbone = plan.params.backbone
    if backbone.name == "mini":
        found = backbone.check()
        yield ok("weights", f"mini: {found.about}, which are installed")
        return
    settings = backbone.open_clip if backbone.name == "open_clip" else None
    settings = settings or backbone.precomputed.text_encoder
    if settings is None:
        yield ok("weights", f"{backbone.label}: features made elsewhere need none")
        return
    missing = [path for path in settings.files if not path.is_file()]
    if missing:
        yield problem(
            "weights", f"no file at {missing[0]}", "check model, pretrained and tokenizer"
        )
        return

    from sreclip.backbones.building import absent_weights, hub_source

    given = settings.model_dump()
    source, absent = hub_source(given), absent_weights(given)
    if source is None:
        n_bytes = sum(path.stat().st_size for path in settings.files)
        yield ok("weights", f"{backbone.label}: {settings.files[0]}, {size(n_bytes)}")
    elif absent is None:
        yield ok("weights", f"{backbone.label}: in the Hub's cache")
    else:
        yield _to_be_fetched(plan, absent, source[0], network=network)


def _to_be_fetched(plan: Plan, absent: str, repository: str, *, network: bool) -> Finding:
    import huggingface_hub.constants as hub

    cache = Path(hub.HF_HUB_CACHE)
    if hub.HF_HUB_OFFLINE:
        text = f"{absent} is not in the Hub's cache {cache}, and HF_HUB_OFFLINE forbids to fetch it"
        return problem("weights", text, f"unset HF_HUB_OFFLINE; or {_BRING}")
    architecture = architecture_of(plan.params.backbone)
    n_bytes = None if architecture is None else architecture.weights
    about = "" if n_bytes is None else f", about {size(n_bytes)}"
    free = shutil.disk_usage(existing(cache)).free
    if n_bytes is not None and n_bytes > free:
        text = f"{absent}{about}, has no room in the Hub's cache {cache}: {size(free)} are free"
        return problem("weights", text, "free some room, or set HF_HOME to another disk")
    text = f"{absent}{about}, is not in the Hub's cache and will be downloaded at first use"
    if not network:
        return note("weights", text, "sreclip doctor --network asks whether it can be fetched")
    refused = _refused(f"/api/models/{repository}")
    if refused is None:
        return ok("weights", f"{text}; the Hub has it")
    return problem("weights", f"{text}; but the Hub does not answer ({refused})", _BRING)


def hub_reached() -> Iterator[Finding]:
    """Ask the Hub whether it answers."""
    refused = _refused("")
    if refused is None:
        yield ok("Hub", "answers")
    else:
        yield note("Hub", f"does not answer ({refused})", _BRING)


def _refused(page: str) -> str | None:
    """Return why the Hub does not answer for a page; None if it does."""
    import huggingface_hub.constants as hub
    from huggingface_hub import get_session

    try:
        status = get_session().head(f"{hub.ENDPOINT}{page}", timeout=10).status_code
    except Exception as error:  # the libraries below differ in what they raise
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None if status < 400 else f"status {status}"


def shared_memory(plan: Plan) -> Iterator[Finding]:
    """Hold the room for decoded images against what the decoding processes hand over."""
    from sreclip.features.loading import RESERVE_BYTES, SHARED_MEMORY

    features, architecture = plan.params.features, architecture_of(plan.params.backbone)
    if not features.workers or architecture is None or not Path(SHARED_MEMORY).is_dir():
        return
    free = shutil.disk_usage(SHARED_MEMORY).free
    # A process has a batch in work and one that waits; pixels are bytes.
    pixels = 3 * architecture.side**2 * features.batch_size
    needed = 2 * features.workers * pixels + RESERVE_BYTES
    text = f"{size(free)} free, decoding needs {size(needed)}"
    if needed > free:
        yield note(
            SHARED_MEMORY,
            f"{text}: pixels will take another way, which is slower",
            "docker run --shm-size=2g; or lower features.workers or features.batch_size",
        )
    else:
        yield ok(SHARED_MEMORY, text)


def gpus(plan: Plan | None) -> Iterator[Finding]:
    """Name the GPUs that torch sees."""
    import torch

    try:
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            text = f"cuda:{index}: {name}, {size(free)} free of {size(total)}"
            if plan is None or plan.params.features.device != "cpu":
                yield ok("GPU", text)
            else:
                yield note("GPU", f"{text}, is not used", "set features.device: cuda")
    except RuntimeError as error:
        yield _unusable(error)
    if torch.cuda.is_available():
        return
    if torch.backends.mps.is_available():
        yield ok("GPU", "mps, for features.device: mps")
    elif shutil.which("nvidia-smi") is not None:
        yield note(
            "GPU",
            f"nvidia-smi is here, but torch {torch.__version__} sees no GPU",
            "compare nvidia-smi's version of CUDA with that of torch, and CUDA_VISIBLE_DEVICES",
        )
    else:
        yield ok("GPU", "torch sees none")


def _unusable(error: RuntimeError) -> Finding:
    return note(
        "GPU",
        f"cannot be used now ({str(error).splitlines()[0]})",
        "see in nvidia-smi who uses it; set features.device: cpu to do without",
    )


def devices(plan: Plan) -> Iterator[Finding]:
    """Look for the devices that the parameters name."""
    from sreclip.backbones.weights import usable_device

    on_cluster = shutil.which("sbatch") is not None
    wanted = {
        "features.device": plan.params.features.device,
        "train.device": plan.params.train.device,
    }
    for setting, device in wanted.items():
        try:
            usable_device(device)
        except ConfigError as error:
            text = f"{setting}: {error.message}"
            if on_cluster:
                yield note("device", text, "ask for a GPU in the profile (docs/cluster.md)")
            else:
                yield problem("device", text, error.hint)


def decoders(plan: Plan) -> Iterator[Finding]:
    """Hold the processes that the parameters ask for against the cores."""
    features, train, usable = plan.params.features, plan.params.train, cores().usable
    wanted = {"features.workers": features.workers, "train.cores": train.cores}
    for setting, count in wanted.items():
        if count > max(1, usable):
            yield note(
                "cores",
                f"{setting} is {count}, and {usable:g} can be used: they wait for each other",
                f"set {setting}: {max(1, int(usable))}",
            )


def speed(plan: Plan | None) -> Iterator[Finding]:
    """Try the precisions for a second, and say how long the images of the task take."""
    import torch

    from sreclip.backbones.precision import (
        best_precision,
        comparison,
        images_per_second,
        try_precisions,
    )

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if plan is not None:
        device = plan.params.features.device
    try:
        tried = try_precisions(device)
    except ConfigError:
        return  # `devices` has said it
    except RuntimeError as error:
        yield _unusable(error)
        return
    backbone = None if plan is None else plan.params.backbone
    uses_it = backbone is not None and backbone.name == "open_clip"
    precision = backbone.open_clip.precision if backbone is not None and uses_it else "float32"
    line, best = comparison(tried, device), best_precision(tried)
    if uses_it and precision != best:
        yield note(
            "precision",
            f"{line}; {precision} is set",
            f"set backbone.open_clip.precision: {best}; features are then extracted again",
        )
    else:
        yield ok("precision", line)
    per_second = images_per_second(tried, precision, device)
    if device == "cpu":
        per_second *= cores().usable
    if plan is None:
        yield ok("speed", f"about {rate(per_second)} with ViT-B-32 on {device}")
    else:
        yield from _time(plan, per_second)


def _time(plan: Plan, vit_b_32: float) -> Iterator[Finding]:
    """Say how long extraction takes, by the speed of ViT-B/32 and what the model multiplies."""
    params = plan.params
    architecture, device = architecture_of(params.backbone), params.features.device
    if architecture is None or architecture.per_image is None:
        if params.backbone.name != "precomputed":
            text = f"not known for {params.backbone.label}; ViT-B-32: {rate(vit_b_32)}"
            yield ok("speed", text)
        return
    model = vit_b_32 * VIT_B_32 / architecture.per_image
    decoding = DECODED * max(1, min(params.features.workers, cores().usable))
    per_second = min(model, decoding)
    images = images_of(plan)
    text = f"about {rate(per_second)} with {params.backbone.label} on {device}"
    if images is not None and images.left:
        text += f": {duration(images.left / per_second)} for {images.left:,} images"
    seconds = images.left / per_second if images is not None else 0.0
    if decoding < model and device != "cpu":
        workers = min(int(model / DECODED) + 1, os.cpu_count() or 1)
        yield note(
            "speed",
            f"{text}; the model could do {rate(model)}, but waits for decoding",
            f"set features.workers: {workers}",
        )
    elif seconds > LONG_SECONDS and device == "cpu":
        yield note("speed", f"{text}, without a GPU", _FASTER)
    else:
        yield ok("speed", text)
