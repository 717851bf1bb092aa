"""Classes that come to a saved model later: by their texts, without a fit."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from sreclip.backbones.base import Backbone
from sreclip.data.class_names import display_name
from sreclip.errors import ConfigError, DataError, some
from sreclip.features.text import encode_texts
from sreclip.files import atomic_folder, file_sha256, write_text
from sreclip.model.backbone import PRECOMPUTED
from sreclip.model.card import card
from sreclip.model.growing import Newcomers, grown, rule_of
from sreclip.model.model import WINDOW, Model, unit_rows
from sreclip.model.saved import CARD, TENSORS, TEXT, Added, SavedModel
from sreclip.model.scorer import Scorer
from sreclip.train.states import place, write_tensors

NEAREST = 3
ROWS = 1024
# Cosine of a text that is encoded again to what the model has of it.
LEAST_COSINE = 0.999


def add_classes(
    model: Model,
    names: Sequence[str],
    out: Path,
    *,
    prompts: Sequence[str] = (),
    vectors: str | None = None,
) -> list[Added]:
    """Write a new model folder with further classes, which have no label; the others stay.

    ``prompts`` are sentences of the one class that is added, instead of the model's templates;
    ``vectors`` is a file of text vectors, a row per name, as in the task ``ready_features``.

    Raises
    ------
    ConfigError
        A name is empty or there already, nothing says the texts, the method takes no class without
        a fit, or the folder exists.
    DataError
        A text is too long, or the vectors cannot be used.
    StoreError
        The model cannot be used, or the folder cannot be written.
    """
    saved = model.saved
    rule = rule_of(saved)
    names = _checked_names(names, saved.classes)
    texts = _texts(saved, names, prompts, vectors)
    tensors = load_file(model.folder / TENSORS)
    if vectors is not None:
        added = torch.from_numpy(_stored_vectors(vectors, names, saved.dim))
    else:
        backbone = model.text_encoder
        _refuse_another(backbone, saved, tensors[TEXT])
        added = torch.from_numpy(_encoded(texts, names, backbone))
    new = Newcomers(
        tensors[TEXT],
        torch.tensor(saved.known),
        added,
        float(saved.settings.get("placing_temperature", 1.0)),
    )
    about = list(_described(saved, names, texts, new, rule.meaning))
    for seed in saved.seeds:
        start = place(seed)
        state = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
        tensors |= {start + name: tensor for name, tensor in grown(saved, state, new).items()}
    tensors[TEXT] = torch.cat([tensors[TEXT], added])
    with atomic_folder(out) as temporary:
        write_tensors(temporary / TENSORS, tensors)
        more = replace(
            saved,
            classes=[*saved.classes, *names],
            known=[*saved.known, *(False for _ in names)],
            prompts=_more_prompts(saved, names, prompts, vectors),
            added=[*saved.added, *about],
            tensors_sha256=file_sha256(temporary / TENSORS),
        )
        Scorer(temporary, more)  # what cannot be used is not written
        write_text(temporary / CARD, card(more))
        more.write(temporary)
    return about


def _checked_names(given: Sequence[str], classes: Sequence[str]) -> list[str]:
    names = [display_name(name) for name in given]
    there = {name.casefold(): name for name in classes}
    for number, name in enumerate(names):
        if not name:
            raise ConfigError("the name of a class is empty", "give words, such as: red panda")
        if (same := there.get(name.casefold())) is not None:
            raise ConfigError(
                f"{name!r}: the model has the class {same!r} already", "leave the name out"
            )
        if name.casefold() in map(str.casefold, names[:number]):
            raise ConfigError(f"{name!r} is named twice", "name it once")
    return names


def _texts(
    saved: SavedModel, names: Sequence[str], prompts: Sequence[str], vectors: str | None
) -> list[list[str]]:
    """Return what is encoded for each name."""
    if vectors is not None:
        if prompts:
            raise ConfigError("--vectors and --prompt both say the text", "give one of them")
        return [[] for _ in names]
    if prompts:
        if len(names) > 1:
            raise ConfigError(
                "--prompt is for one class", "add the classes one after the other, each to the last"
            )
        for text in prompts:
            if not text.strip() or "{}" in text:
                raise ConfigError(f"--prompt {text!r} is no sentence", "write it without {}")
        return [[" ".join(text.split()) for text in prompts]]
    templates = saved.prompts["templates"]
    if not templates and saved.backbone["name"] != PRECOMPUTED:
        raise ConfigError(
            "the model has sentences per class and no templates: nothing says the text of a name",
            'give one or more: --prompt "a photo of a red panda, a small animal of the forest"',
        )
    return [[template.replace("{}", name) for template in templates] for name in names]


def _encoded(
    texts: list[list[str]], names: Sequence[str], backbone: Backbone
) -> NDArray[np.float32]:
    none: list[tuple[str, ...]] = [() for _ in names]
    return encode_texts(names, none, [], backbone, texts).features


def _refuse_another(backbone: Backbone, saved: SavedModel, texts: Tensor) -> None:
    """Encode the texts of the first class again, which must give what the model has."""
    names, templates, sentences = (saved.prompts[n] for n in ("names", "templates", "sentences"))
    if backbone.dim != saved.dim or not (templates or sentences):
        raise ConfigError(
            "the text vectors of the model were not made by its text encoder",
            "give those of the names: --vectors FILE, a row per name",
        )
    own = encode_texts(saved.classes[:1], names[:1], templates, backbone, sentences[:1]).features[0]
    cosine = float(own @ texts[0].numpy())
    if cosine < LEAST_COSINE:
        raise ConfigError(
            f"the text encoder is not that of the model: the text of {saved.classes[0]!r} has the "
            f"cosine {cosine:.3f} to what the model has of it",
            "use the weights and the version of open_clip that it was fitted with",
        )


def _stored_vectors(file: str, names: Sequence[str], dim: int) -> NDArray[np.float32]:
    from sreclip.data.matrices.places import open_stored
    from sreclip.data.matrices.stored import as_floats

    stored = open_stored(Path(), file, "matrix")
    if tuple(stored.shape) != (len(names), dim):
        raise DataError(
            f"{file} has the shape {tuple(stored.shape)}; {len(names)} names need "
            f"({len(names)}, {dim})",
            "give a row per name, made as the text vectors of the fit",
        )
    return unit_rows(as_floats(stored.part(0, len(names))))


def _described(
    saved: SavedModel, names: Sequence[str], texts: list[list[str]], new: Newcomers, meaning: str
) -> Iterator[Added]:
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    own = _nearest_cosines(new.texts)
    all_names, all_texts = [*saved.classes, *names], torch.cat([new.texts, new.added])
    for number, name in enumerate(names):
        at = len(saved.classes) + number
        cosines = all_texts @ all_texts[at]
        cosines[at] = -torch.inf
        best = cosines.topk(min(NEAREST, len(all_names) - 1))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        as_near = float((own >= best.values[0]).float().mean()) if len(own) > 1 else None
        nearest = [(all_names[c], round(cosine, 4)) for c, cosine in pairs]
        yield Added(name, today, meaning, texts[number], nearest, as_near)


def _nearest_cosines(texts: Tensor) -> Tensor:
    """Return the cosine of each text to the nearest other one, ``(n_texts,)``."""
    found = []
    for rows in torch.arange(len(texts)).split(ROWS):
        cosines = texts[rows] @ texts.T
        cosines[torch.arange(len(rows)), rows] = -torch.inf
        found.append(cosines.amax(dim=1))
    return torch.cat(found)


def _more_prompts(
    saved: SavedModel, names: Sequence[str], prompts: Sequence[str], vectors: str | None
) -> dict[str, Any]:
    found = {name: list(value) for name, value in saved.prompts.items()}
    by_name = [[] if prompts or vectors is not None else [name] for name in names]
    found["names"] += by_name
    if prompts or found["sentences"]:
        found["sentences"] = found["sentences"] or [[] for _ in saved.classes]
        found["sentences"] += [list(prompts) for _ in names]
    return found


def try_on(before: Model, after: Model, images: Iterable[str]) -> Iterator[str]:
    """Say how many images go to each class that ``after`` has more, and where they went before."""
    n = n_unreadable = 0
    came: dict[str, Counter[str]] = {
        name: Counter() for name in after.classes[len(before.classes) :]
    }
    found = before.finder.find(images)
    while window := list(islice(found, WINDOW)):
        for _, reasons, features in before.encoded(window):
            n += len(reasons)
            n_unreadable += len(reasons) - len(features)
            old, new = (
                [each.label for each in model.predictions(features, top=1)] if len(features) else []
                for model in (before, after)
            )
            for was, now in zip(old, new, strict=True):
                if now in came:
                    came[now][was] += 1
    if n_unreadable:
        yield f"{n_unreadable:,} of {n:,} images could not be read"
    for name, whence in came.items():
        shown = some([f"{was} {count:,}" for was, count in whence.most_common()])
        there = f"; they went to {shown}" if whence else ""
        yield f"{whence.total():,} of {n:,} images go to {name}{there}"
