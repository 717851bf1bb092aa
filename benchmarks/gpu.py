"""All that needs a GPU, in one run: extraction, and fits beside those of the CPU.

    python benchmarks/gpu.py --out gpu.md
    python benchmarks/gpu.py --only fits --sizes i2awa

Extraction is measured as ``extraction.py`` does, of ViT-B-16 and ViT-L-14 in bfloat16. Each method
is fitted with its default settings on the same made-up features on both devices (``synthetic.py``).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import extraction
import numpy as np
import torch
from measuring import commit, machine, number, show
from synthetic import SIZES, make_problem

from sreclip.config.methods import MethodsSettings
from sreclip.methods import METHODS
from sreclip.methods.scores import ImageScores
from sreclip.train.fits import FitInputs, fit, make_method, score_target

MODELS = ("ViT-B-16", "ViT-L-14")
# At these sizes fits are cut short, and these methods alone end within minutes on a CPU.
SHORT = ("i2webv",)
QUICK = ("zero_shot", "clip_adapter", "taskres", "sre_clip")
STEPS = 20


def on_device(inputs: FitInputs, device: str) -> FitInputs:
    """Move what a fit sees."""
    return replace(
        inputs,
        source_features=inputs.source_features.to(device),
        source_labels=inputs.source_labels.to(device),
        target_features=inputs.target_features.to(device),
        text=inputs.text.to(device),
        graph=inputs.graph.to(device),
    )


@dataclass(frozen=True)
class Fitted:
    """Seconds of a fit with its scoring, and the scores."""

    seconds: float
    scores: ImageScores


def fitted(name: str, inputs: FitInputs, steps: int | None) -> Fitted:
    """Fit a method with seed 0; with ``steps``, cut short."""
    settings = MethodsSettings().settings(name)
    if steps is not None and "steps" in type(settings).model_fields:
        settings = settings.changed({"steps": steps})
    begun = time.perf_counter()
    method = fit(make_method(name, settings, 0), inputs)
    scores = score_target(method, inputs.target_features)  # numbers on the host: all is done
    return Fitted(time.perf_counter() - begun, scores)


def fit_rows(size: str, methods: Sequence[str], device: str, steps: int | None) -> Iterator[str]:
    """A row per method: seconds on both devices, and how far the scores differ."""
    inputs = make_problem(SIZES[size]).inputs
    there = on_device(inputs, device)
    for name in methods:
        if device != "cpu":
            fitted(name, there, 2)  # what only the first fit waits for
        ours, reference = fitted(name, there, steps), fitted(name, inputs, steps)
        same = np.mean(ours.scores.top_class[:, 0] == reference.scores.top_class[:, 0])
        apart = np.abs(ours.scores.confidence - reference.scores.confidence).max()
        seconds = f"{number(reference.seconds)} | {number(ours.seconds)}"
        yield f"| {size} | `{name}` | {seconds} | {100 * same:.2f} % | {apart:.1e} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", choices=("extraction", "fits"))
    parser.add_argument("--models", nargs="*", default=MODELS, help="open_clip's names")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--workers", type=int, default=15)
    parser.add_argument("--sizes", nargs="*", default=("i2awa", "i2webv"), choices=tuple(SIZES))
    parser.add_argument("--methods", nargs="*", default=tuple(METHODS), choices=tuple(METHODS))
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    device = arguments.device
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else device
    lines = [f"{name}; {machine()}; load: {os.getloadavg()[0]:.1f}. Commit {commit()}.", ""]
    for model in arguments.models if arguments.only != "fits" else ():
        options = extraction.Options(
            root=None,
            images=arguments.images,
            model=model,
            precision=arguments.precision,
            device=device,
            batch=arguments.batch,
            workers=arguments.workers,
            threads=len(os.sched_getaffinity(0)),
            rounds=2,
        )
        with tempfile.TemporaryDirectory() as folder:
            result = extraction.measure(options, Path(folder))
        lines += [extraction.document(result, options, os.getloadavg()[0])]
    if arguments.only != "extraction":
        lines += ["| size | method | CPU s | GPU s | same class | confidence apart, at most |"]
        lines += ["| --- | --- | ---: | ---: | ---: | ---: |"]
        for size in arguments.sizes:
            short = size in SHORT
            methods = [each for each in arguments.methods if not short or each in QUICK]
            lines += fit_rows(size, methods, device, STEPS if short else None)
    text = "\n".join(lines) + "\n"
    show(text, arguments.out)


if __name__ == "__main__":
    main()
