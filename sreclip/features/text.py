"""Names through prompt templates and a frozen backbone into one file.

A text file is a sealed file (`sreclip.sealed`) with the attributes of `Header` and the data sets

- ``features``: ``(n_names, dim)``, float32, mean over prompt names, templates and sentences;
- ``templates``: ``(n_names, n_templates, dim)``, float16, mean over prompt names;
- ``names``, ``prompt_names``, ``template_texts`` and, if there are any, ``sentences``: JSON bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sreclip.backbones.base import Backbone
from sreclip.errors import DataError, StoreError, shortened
from sreclip.features.header import Header, Provenance, check_finite, check_rows
from sreclip.keys import content_key
from sreclip.sealed import add_data, json_bytes, new_sealed, open_sealed, read_json

BATCH = 256
_LEAST_NORM = 1e-6


class TextVectors(NamedTuple):
    """Unit-norm float32 vectors: ``(n_names, n_templates, dim)`` and ``(n_names, dim)``."""

    templates: NDArray[np.float32]
    features: NDArray[np.float32]


@dataclass(frozen=True)
class TextFeatures:
    """What is read of a text file; ``features`` are as in `TextVectors`."""

    path: Path
    header: Header
    names: list[str]
    features: NDArray[np.float32]


def text_rows_key(
    names: Sequence[str],
    prompt_names: Sequence[Sequence[str]],
    templates: Sequence[str],
    sentences: Sequence[Sequence[str]] = (),
) -> str:
    """Hash the inputs of a text file."""
    own = [[list(group) for group in sentences]] if sentences else []
    return content_key(list(names), [list(group) for group in prompt_names], list(templates), *own)


def encode_texts(
    names: Sequence[str],
    prompt_names: Sequence[Sequence[str]],
    templates: Sequence[str],
    backbone: Backbone,
    sentences: Sequence[Sequence[str]] = (),
) -> TextVectors:
    r"""Encode names with a prompt ensemble, and sentences of their own.

    With :math:`e_{cpt}` the backbone's unit vector of prompt name p of name c in template t, and
    :math:`e_{cs}` that of its sentence s,

    .. math::

        T_{ct} = \mathrm{unit}\Big(\frac1P \sum_p e_{cpt}\Big), \qquad
        F_c = \mathrm{unit}\Big(\frac{1}{T + S}
              \Big(\sum_t \frac1P \sum_p e_{cpt} + \sum_s e_{cs}\Big)\Big),

    so a class with several prompt names is the mean over names and templates, as CLIP averages
    templates, and a sentence counts as much as a template. A text that occurs twice is encoded
    once. There may be no templates, if each name has a sentence.

    Raises `DataError` if a text has more tokens than the backbone reads, `ConfigError` if half
    precision overflows, `StoreError` if the vectors of a name cancel out.
    """
    prompts = [
        [[template.replace("{}", entry) for template in templates] for entry in group]
        for group in prompt_names
    ]
    own = sentences or [()] * len(names)
    _refuse_long(names, prompts, templates, backbone)
    _refuse_long_sentences(names, own, backbone)
    filled = [text for group in prompts for row in group for text in row]
    distinct = list(dict.fromkeys([*filled, *(text for group in own for text in group)]))
    vectors = _encode(distinct, backbone)
    place = {text: index for index, text in enumerate(distinct)}
    shape = (len(names), len(templates), backbone.dim)
    out = TextVectors(np.empty(shape, np.float32), np.empty((shape[0], shape[2]), np.float32))
    for index, (name, group, said) in enumerate(zip(names, prompts, own, strict=True)):
        parts = []
        if templates:
            at = np.array([[place[text] for text in row] for row in group])
            by_name = vectors[at].astype(np.float64)
            out.templates[index] = _unit(by_name.mean(axis=0), name)
            parts.append(by_name.mean(axis=0) if said else by_name.mean(axis=(0, 1))[None])
        if said:
            parts.append(vectors[[place[text] for text in said]].astype(np.float64))
        out.features[index] = _unit(np.concatenate(parts).mean(axis=0), name)
    return out


def write_text(
    out: Path,
    provenance: Provenance,
    vectors: TextVectors,
    *,
    names: Sequence[str],
    prompt_names: Sequence[Sequence[str]],
    templates: Sequence[str],
    sentences: Sequence[Sequence[str]] = (),
) -> None:
    """Write a text file; its template vectors are stored as float16.

    Raises `StoreError` if the file cannot be written, or a vector is not finite and unit-norm.
    """
    rows_key = text_rows_key(names, prompt_names, templates, sentences)
    by_template = vectors.templates.astype(np.float16)
    _check(vectors.features, by_template, names, out)
    with new_sealed(out, "text") as file:
        Header.new("text", provenance, rows_key).write(file)
        add_data(file, {"features": vectors.features, "templates": by_template})
        texts = {"names": names, "prompt_names": prompt_names, "template_texts": templates}
        texts |= {"sentences": sentences} if sentences else {}
        add_data(file, {name: json_bytes(value) for name, value in texts.items()})


def read_text(path: Path, expected: Mapping[str, Any] | None = None) -> TextFeatures:
    """Read a text file; `StoreError` where it is damaged or not of the ``expected`` header."""
    with open_sealed(path, "text").hdf5() as file:
        header = Header.read(file)
        header.check(expected or {}, path)
        return TextFeatures(path, header, read_json(file["names"]), file["features"][:])


def verify_text(path: Path) -> None:
    """Read a text file and check its vectors as `write_text` does."""
    text = read_text(path)
    with open_sealed(path, "text").hdf5() as file:
        _check(text.features, file["templates"][:], text.names, path)


def _check(
    features: NDArray[Any], by_template: NDArray[Any], names: Sequence[str], path: Path
) -> None:
    for vectors in (features[:, None], by_template):
        flat, of = vectors.reshape(-1, vectors.shape[-1]), np.repeat(names, vectors.shape[1])
        check_rows(flat, np.ones(len(flat), dtype=bool), of.tolist(), path)


def _encode(texts: list[str], backbone: Backbone) -> NDArray[np.float32]:
    import torch

    vectors = np.empty((len(texts), backbone.dim), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            encoded = backbone.encode_text(texts[start : start + BATCH])
            vectors[start : start + BATCH] = encoded.float().cpu().numpy()
            check_finite(backbone, vectors[start : start + BATCH], texts[start : start + BATCH])
    return vectors


def _refuse_long(
    names: Sequence[str],
    prompts: Sequence[Sequence[Sequence[str]]],
    templates: Sequence[str],
    backbone: Backbone,
) -> None:
    """Raise `DataError` for a prompt whose end the backbone would not read."""
    limit = backbone.context_length
    for name, group in zip(names, prompts, strict=True):
        for row in group:
            counts = backbone.count_tokens(list(row))
            for template, n_tokens in zip(templates, counts, strict=True):
                if n_tokens > limit:
                    raise DataError(
                        f"{name!r}: its prompt of the template {shortened(template)!r} has "
                        f"{n_tokens} tokens, but {backbone.label} reads only {limit}",
                        "shorten the template in prompts.templates, or give the class a shorter "
                        "prompt name in the class list",
                    )


def _refuse_long_sentences(
    names: Sequence[str], sentences: Sequence[Sequence[str]], backbone: Backbone
) -> None:
    limit = backbone.context_length
    for name, group in zip(names, sentences, strict=True):
        if not group:
            continue
        for text, n_tokens in zip(group, backbone.count_tokens(list(group)), strict=True):
            if n_tokens > limit:
                raise DataError(
                    f"{name!r}: its sentence {shortened(text)!r} has {n_tokens} tokens, but "
                    f"{backbone.label} reads only {limit}",
                    "shorten the sentence",
                )


def _unit(vectors: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (norms > _LEAST_NORM).all():
        raise StoreError(
            f"the text vectors of {name!r} are not finite or cancel out",
            "check the backbone's weights and the prompt names",
        )
    return vectors / norms
