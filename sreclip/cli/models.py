"""Fitted models: keep one, use it on new images."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sreclip.cli.app import (
    DEFAULT_PARAMS,
    MethodName,
    ParamsFile,
    Quiet,
    app,
    log,
    plan_of,
    registered_method,
)
from sreclip.errors import ConfigError
from sreclip.model import Format, Way

if TYPE_CHECKING:
    from sreclip.model.prediction import Prediction

MODELS = "Models"


@app.command(rich_help_panel=MODELS)
def save(
    method: MethodName,
    folder: Annotated[Path, typer.Argument(help="A new folder.", metavar="DIR")],
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Save a fitted method as a folder that labels new images without the data of the fit."""
    from sreclip.model.save import save_model

    saved = save_model(plan_of(params), registered_method(method), folder)
    size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    log.info(
        "%s: %s with %d classes, %.1f MB; read its README.md, and label images with:\n"
        "  sreclip predict %s IMAGES --out predictions.csv",
        folder,
        saved.title,
        len(saved.classes),
        size,
        folder,
    )


@app.command(rich_help_panel=MODELS)
def predict(
    folder: Annotated[Path, typer.Argument(help="A saved model.", metavar="MODEL")],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders, patterns or tar archives; - reads names from standard input.",
            metavar="IMAGES",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; without it CSV is printed.", metavar="FILE"),
    ] = None,
    kind: Annotated[
        Format | None, typer.Option("--format", help="By default what FILE ends in.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Classes per image.")] = 5,
    reject: Annotated[
        float,
        typer.Option(min=0, max=1, help="Give no class to images below this probability."),
    ] = 0.0,
    sort_into: Annotated[
        Path | None,
        typer.Option(help="New folder with a folder per class, and _uncertain.", metavar="DIR"),
    ] = None,
    by: Annotated[Way, typer.Option(help="How images get into it.")] = "link",
    features: Annotated[
        str | None,
        typer.Option(help="Label rows of ready features instead of images.", metavar="FILE"),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N or mps.")] = "cpu",
    workers: Annotated[
        int | None, typer.Option(min=0, help="Decoding processes.", show_default="1")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Where the backbone's local checkpoint is now.", metavar="FILE"),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on with images that come; end with Ctrl-C.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Label images with a saved model: a row per image as soon as it is known."""
    from sreclip.model.model import Model
    from sreclip.model.sorting import Sorter
    from sreclip.model.summary import Summary
    from sreclip.model.watch import Log
    from sreclip.model.watch import watch as watched
    from sreclip.model.writers import format_of, write

    if (features is None) == (not images):
        raise ConfigError("give images to label, or --features FILE", "see: sreclip predict --help")
    if features and (sort_into or watch):
        raise ConfigError("--sort-into and --watch need images, not features", "leave them out")
    if watch and out is None:
        raise ConfigError("--watch needs a file that grows", "give --out FILE.csv or FILE.jsonl")
    chosen = format_of(out, kind)
    model = Model(folder, device, weights)
    background, top = bool(model.saved.background), min(top, len(model.classes))
    sorter = Sorter(sort_into, by, again=watch) if sort_into else None
    growing = Log(out, chosen, top, background) if watch and out else None
    found: Iterable[Prediction]
    if features is not None:
        found = model.of_features(features, top=top, reject=reject)
    else:
        names = _names(images or [])
        if growing:
            done = growing.done
            pairs = watched(model, [*names], done, top=top, reject=reject, workers=workers)
        else:
            pairs = model.pairs(names, top=top, reject=reject, workers=workers)
        found = sorter.sorted(pairs) if sorter else (prediction for _, prediction in pairs)
    summary = Summary()
    counted = _counted(summary.of(found, some=not watch), quiet or out is None)
    if growing:
        with contextlib.suppress(KeyboardInterrupt):
            growing.write(counted)
    else:
        write(
            counted,
            out,
            chosen,
            top=top,
            classes=model.classes,
            model=model.saved.title,
            background=background,
        )
    for line in summary.lines(model, reject, out, sorter):
        log.info("%s", line)


def _names(given: Iterable[str]) -> Iterator[str]:
    for name in given:
        if name == "-":
            yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
        else:
            yield name


def _counted(predictions: Iterable[Prediction], hidden: bool) -> Iterable[Prediction]:
    from tqdm import tqdm

    # None: a bar on a terminal, nothing elsewhere.
    return tqdm(predictions, unit=" images", leave=False, disable=True if hidden else None)


@app.command(rich_help_panel=MODELS)
def export(
    folder: Annotated[Path, typer.Argument(help="A saved model.", metavar="MODEL")],
    onnx: Annotated[
        Path | None,
        typer.Option(help="Features to probabilities, as ONNX.", metavar="FILE"),
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option(help="Weight and bias, .npz, where they are all there is.", metavar="FILE"),
    ] = None,
    image_tower: Annotated[
        Path | None,
        typer.Option(help="Pixels to features, as ONNX.", metavar="FILE"),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Where the backbone's local checkpoint is now.", metavar="FILE"),
    ] = None,
) -> None:
    """Write a saved model for other programs, which need no sreclip."""
    from sreclip.model.export import export_classifier, export_head, export_tower
    from sreclip.model.model import Model

    wanted = ((onnx, export_head), (classifier, export_classifier), (image_tower, export_tower))
    if not any(path for path, _ in wanted):
        raise ConfigError("there is nothing to write", "give --onnx, --classifier or --image-tower")
    model = Model(folder, weights=weights)
    for path, write in wanted:
        if path is not None:
            write(model, path)
            log.info("%s: %.1f MB", path, path.stat().st_size / 2**20)


@app.command(rich_help_panel=MODELS)
def add_class(
    folder: Annotated[Path, typer.Argument(help="A saved model.", metavar="MODEL")],
    names: Annotated[list[str], typer.Argument(help="Names of new classes.", metavar="NAME")],
    out: Annotated[Path, typer.Option(help="A new folder; MODEL stays.", metavar="DIR")],
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="Sentence of the one NAME instead of the model's templates; repeatable."),
    ] = None,
    vectors: Annotated[
        str | None,
        typer.Option(help="Text vectors of the names, for ready features.", metavar="FILE"),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(help="Count how many of these images change class; repeatable."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N or mps.")] = "cpu",
    weights: Annotated[
        str | None,
        typer.Option(help="Where the backbone's local checkpoint is now.", metavar="FILE"),
    ] = None,
) -> None:
    """Add classes to a saved model by their names, without a fit, as a new folder."""
    from sreclip.model.adding import add_classes, try_on
    from sreclip.model.model import Model

    model = Model(folder, device, weights)
    if images:
        _ = model.backbone  # refused before anything is written
    for each in add_classes(model, names, out, prompts=prompt or (), vectors=vectors):
        log.info("%s", each.line)
    log.info(
        "no image of what was added was seen: nothing is known of how right it is, and all numbers "
        "on the card are of the fit before"
    )
    after = Model(out, device, weights)
    for line in try_on(model, after, images) if images else ():
        log.info("%s", line)
    log.info(
        "%s: %d classes; label images with:\n  sreclip predict %s IMAGES --out predictions.csv",
        out,
        len(after.classes),
        out,
    )
