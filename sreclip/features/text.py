"""Names through prompt templates and a frozen backbone into one file."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import ConfigError, DataError, StoreError
from sreclip.features.header import Header, Provenance
from sreclip.features.progress import Progress
from sreclip.features.writer import write_text

if TYPE_CHECKING:
    from sreclip.backbones.base import Backbone

_LEAST_NORM = 1e-6


class TextVectors(NamedTuple):
    """Encoded names.

    Attributes
    ----------
    templates : ndarray
        Float32, ``(n_names, n_templates, dim)``, unit-norm.
    features : ndarray
        Float32, ``(n_names, dim)``, unit-norm.
    """

    templates: NDArray[np.float32]
    features: NDArray[np.float32]


def encode_texts(
    names: Sequence[str],
    prompt_names: Sequence[Sequence[str]],
    templates: Sequence[str],
    backbone: Backbone,
    *,
    batch_size: int = 256,
    progress: bool = False,
) -> TextVectors:
    r"""Encode names with a prompt ensemble.

    With :math:`e_{cpt}` the backbone's unit vector of prompt name p of name c in template t,

    .. math::

        T_{ct} = \mathrm{unit}\Big(\frac1P \sum_p e_{cpt}\Big), \qquad
        F_c = \mathrm{unit}\Big(\frac1{PT} \sum_{p,t} e_{cpt}\Big),

    so a class with several prompt names is the mean over names and templates, as CLIP averages
    templates. A prompt that occurs twice is encoded once.

    Parameters
    ----------
    names : sequence of str
        Class or node names, ``(n_names,)``.
    prompt_names : sequence of sequence of str
        For each name, what is put into the templates; at least one.
    templates : sequence of str
        Sentences with exactly one ``{}``.
    backbone : Backbone
        Encodes the texts.
    batch_size : int
        Texts in a forward pass.
    progress : bool
        Show a bar on a terminal, or lines elsewhere.

    Raises
    ------
    ConfigError
        There is no template, or one does not hold exactly one ``{}``.
    DataError
        A name has no prompt name.
    StoreError
        The backbone's vectors of a name are not finite or cancel out.
    """
    check_templates(templates)
    if len(names) != len(prompt_names):
        raise ValueError(f"{len(names)} names but {len(prompt_names)} groups of prompt names")
    if not names:
        raise DataError("there are no names to encode")
    for name, group in zip(names, prompt_names, strict=True):
        if not group or not all(entry.strip() for entry in group):
            raise DataError(f"{name!r} has no prompt name, or an empty one")
    prompts = [
        [[template.replace("{}", entry) for template in templates] for entry in group]
        for group in prompt_names
    ]
    distinct = list(dict.fromkeys(text for group in prompts for row in group for text in row))
    vectors = _encode(distinct, backbone, batch_size, progress)
    place = {text: index for index, text in enumerate(distinct)}
    shape = (len(names), len(templates), backbone.dim)
    out = TextVectors(np.empty(shape, np.float32), np.empty((shape[0], shape[2]), np.float32))
    for index, (name, filled) in enumerate(zip(names, prompts, strict=True)):
        at = np.array([[place[text] for text in row] for row in filled])
        own = vectors[at].astype(np.float64)
        out.templates[index] = _unit(own.mean(axis=0), name)
        out.features[index] = _unit(own.mean(axis=(0, 1)), name)
    return out


def extract_text(
    names: Sequence[str],
    prompt_names: Sequence[Sequence[str]],
    templates: Sequence[str],
    backbone: Backbone,
    out: Path,
    *,
    batch_size: int = 256,
    progress: bool = False,
) -> Header:
    """Encode names as `encode_texts` does and write a text file; it appears when it is whole.

    Raises
    ------
    StoreError
        The file cannot be written; else as `encode_texts`.
    """
    vectors = encode_texts(
        names, prompt_names, templates, backbone, batch_size=batch_size, progress=progress
    )
    return write_text(
        out,
        Provenance.of(backbone, "float32"),
        names=names,
        prompt_names=prompt_names,
        templates=templates,
        features=vectors.features,
        template_features=vectors.templates,
    )


def check_templates(templates: Sequence[str]) -> None:
    """Check that each template has one place for a name.

    Raises
    ------
    ConfigError
        Naming the template.
    """
    if not templates:
        raise ConfigError("prompts.templates is empty", "give at least one, such as 'a {}.'")
    for template in templates:
        if template.count("{}") != 1:
            raise ConfigError(
                f"prompts.templates: {template!r} holds {template.count('{}')} times {{}}",
                "put {} exactly once, where the name goes",
            )


def _encode(
    texts: list[str], backbone: Backbone, batch_size: int, progress: bool
) -> NDArray[np.float32]:
    import torch

    vectors = np.empty((len(texts), backbone.dim), dtype=np.float32)
    bar = Progress(f"{backbone.label}, prompts", len(texts), "texts", progress)
    with contextlib.closing(bar), torch.inference_mode():
        for start in range(0, len(texts), batch_size):
            batch = texts[start : start + batch_size]
            encoded = backbone.encode_text(batch)
            vectors[start : start + len(batch)] = encoded.float().cpu().numpy()
            bar.update(len(batch))
    return vectors


def _unit(vectors: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (norms > _LEAST_NORM).all():
        raise StoreError(
            f"the text vectors of {name!r} are not finite or cancel out",
            "check the backbone's weights and the prompt names",
        )
    return vectors / norms
