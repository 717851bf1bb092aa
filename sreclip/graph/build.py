"""The graph step of the pipeline: class names to ``graph.json`` and class similarities."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from textwrap import shorten

import numpy as np
from numpy.typing import NDArray

from sreclip.backbones.base import Backbone
from sreclip.config.models import Params
from sreclip.data.manifest import ClassEntry
from sreclip.errors import GraphError
from sreclip.features.header import check_finite
from sreclip.features.ready import class_vectors
from sreclip.graph.construct import build_relation_graph, graph_from_senses
from sreclip.graph.placement import Placement, place_unmapped
from sreclip.graph.relation import wordnet_similarity
from sreclip.graph.relation_graph import RelationGraph
from sreclip.graph.senses import SenseMap, choose_senses
from sreclip.graph.similarity import write_similarity
from sreclip.graph.wordnet import WordNet, glosses
from sreclip.plan.plan import Plan

# In a note, of each class.
SHOWN_ALTERNATIVES = 2
GLOSS_LENGTH = 90

log = logging.getLogger("sreclip")


def build_graph(plan: Plan) -> None:
    """Map the task's classes to WordNet, add all hypernyms, write graph and similarities.

    The backbone's text encoder is loaded only if a class has no WordNet id. Raises `GraphError` if
    a class name has no sense or two classes share one.
    """
    settings = plan.params.graph
    vectors = class_vectors(plan).features if plan.ready.get("has_class_texts") else None
    senses, placements = map_classes(plan.params, plan.classes, vectors=vectors)
    for note in (doubt_note(senses), placement_note(placements)):
        if note:
            log.warning("%s", note)
    graph = graph_from_senses(
        senses,
        parents={placement.name: placement.parents for placement in placements},
        include_imagenet=settings.include_imagenet,
    )
    similarity = wordnet_similarity(graph.class_wnids, settings.similarity)
    graph.save(plan.graph["graph.json"])
    write_similarity(plan.graph, similarity)


def map_classes(
    params: Params,
    classes: Sequence[ClassEntry],
    *,
    vectors: NDArray[np.float32] | None = None,
    lenient: bool = False,
) -> tuple[SenseMap, list[Placement]]:
    """Return the senses of classes, and where those without one join the graph.

    Pins are the classes' own WordNet ids and, before them, ``graph.senses``. ``vectors`` are text
    vectors of the classes, for a backbone that encodes no text. ``lenient`` accepts names that
    WordNet lacks, two names of one sense, and pins of other classes.
    """
    settings = params.graph
    names = [entry.name for entry in classes]
    pinned = {entry.name: entry.wnid for entry in classes if entry.wnid} | settings.senses
    if lenient:
        pinned = {name: wnid for name, wnid in pinned.items() if name in names}
    encode = _text_encoder(params) if params.backbone.chosen.encodes_text else None
    senses = choose_senses(
        names,
        pinned=pinned,
        encode_text=encode if set(names) - set(pinned) else None,
        text_weight=settings.sense_text_weight,
        allow_unmapped=settings.allow_unmapped or lenient,
        allow_shared=lenient,
    )
    return senses, place_unmapped(senses, encode, vectors)


def doubt_note(senses: SenseMap) -> str:
    """Name the classes whose sense was a close choice and what else they can mean."""
    scores = dict(zip(senses.names, senses.scores, strict=False))
    lines = []
    for name, wnid in senses.doubtful():
        lines.append(f"  {name}: taken for {sense_text(wnid)}")
        others = [other for other in scores.get(name, ()) if other != wnid]
        lines += [f"    or {sense_text(other)}" for other in others[:SHOWN_ALTERNATIVES]]
    if not lines:
        return ""
    head = (
        "note: senses that were a close choice; pin another in graph.senses if one is wrong "
        "(sreclip senses shows all):"
    )
    return "\n".join([head, *lines])


def placement_note(placements: Sequence[Placement]) -> str:
    """Say where each class that WordNet lacks was placed; empty if there is none."""
    if not placements:
        return ""
    head = (
        "note: classes that WordNet lacks, placed by the text of their names; pin a sense in "
        "graph.senses if one is in the wrong place:"
    )
    return "\n".join([head, *(f"  {placement.line()}" for placement in placements)])


def sense_text(wnid: str) -> str:
    """Return a sense in a line: id, names, what it is a kind of, and its definition."""
    wordnet = WordNet.bundled()
    above = ", ".join(wordnet.lemmas(up)[0] for up in wordnet.hypernyms(wnid))
    kind = f", a kind of {above}" if above else ""
    gloss = shorten(glosses().get(wnid, ""), GLOSS_LENGTH, placeholder=" ...")
    return f"{wordnet.label(wnid)}{kind}: {gloss}"


def _text_encoder(params: Params) -> Callable[[list[str]], NDArray[np.float32]]:
    """Return the backbone's text encoder, which is loaded on its first call."""

    @cache
    def backbone() -> Backbone:
        return params.backbone.load(params.features.device)

    def encode(texts: list[str]) -> NDArray[np.float32]:
        rows = backbone().encode_text(list(texts)).cpu().numpy()
        check_finite(backbone(), rows, texts)
        return rows

    return encode


def build_from_file(path: Path, *, include_imagenet: bool) -> RelationGraph:
    """Build the graph of a list of WordNet ids, one per line.

    Raises `GraphError` if the file cannot be read or a line is not a noun of WordNet 3.0.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GraphError(f"{path} cannot be read ({error})") from error
    wnids = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not wnids:
        raise GraphError(f"{path} has no WordNet id", "write one id per line, such as n02084071")
    return build_relation_graph(wnids, include_imagenet=include_imagenet)
