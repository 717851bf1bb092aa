"""The graph step of the pipeline: class names to ``graph.json`` and class similarities."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sreclip.backbones.base import Backbone
from sreclip.errors import GraphError
from sreclip.graph.construct import build_relation_graph, graph_from_senses
from sreclip.graph.relation import text_similarity, wordnet_similarity
from sreclip.graph.relation_graph import RelationGraph
from sreclip.graph.senses import SenseMap, choose_senses
from sreclip.graph.similarity import write_similarity
from sreclip.graph.wordnet import WordNet
from sreclip.plan.plan import Plan

log = logging.getLogger("sreclip")


def build_graph(plan: Plan) -> None:
    """Map the task's classes to WordNet, add all hypernyms, write graph and similarities.

    The backbone's text encoder is loaded only if a class has no WordNet id. Raises `GraphError` if
    a class name has no sense or two classes share one.
    """
    settings = plan.params.graph
    names = [entry.name for entry in plan.classes]
    pinned = {entry.name: entry.wnid for entry in plan.classes if entry.wnid} | settings.senses
    encode = _text_encoder(plan) if set(names) - set(pinned) else None
    senses = choose_senses(
        names,
        pinned=pinned,
        encode_text=encode,
        text_weight=settings.sense_text_weight,
        allow_unmapped=settings.allow_unmapped,
    )
    if note := doubt_note(senses):
        log.warning("%s", note)
    unmapped_text = text_similarity(encode(names)) if encode and senses.unmapped else None
    graph = graph_from_senses(
        senses, text_similarity=unmapped_text, include_imagenet=settings.include_imagenet
    )
    similarity = wordnet_similarity(graph.class_wnids, settings.similarity)
    graph.save(plan.graph["graph.json"])
    write_similarity(plan.graph, similarity)


def doubt_note(senses: SenseMap) -> str:
    """Name the classes whose sense was a close choice, one per line; empty if there is none."""
    wordnet = WordNet.bundled()
    lines = [f"  {name}: taken for {wordnet.label(wnid)}" for name, wnid in senses.doubtful()]
    if not lines:
        return ""
    head = "note: senses that were a close choice; pin another in graph.senses if one is wrong:"
    return "\n".join([head, *lines])


def _text_encoder(plan: Plan) -> Callable[[list[str]], NDArray[np.float32]]:
    """Return the backbone's text encoder, which is loaded on its first call."""

    @cache
    def backbone() -> Backbone:
        return plan.params.backbone.load(plan.params.features.device)

    return lambda texts: backbone().encode_text(list(texts)).cpu().numpy()


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
