"""What the feature files of a plan must say of themselves, whatever they are named."""

from __future__ import annotations

from typing import Any

from sreclip.data.manifest import Domain
from sreclip.data.shards import Shard
from sreclip.features import EXTRACTION_VERSION
from sreclip.features.header import text_rows_key
from sreclip.graph.build import read_graph
from sreclip.graph.relation_graph import RelationGraph
from sreclip.plan.plan import Plan

Expected = dict[str, Any]


def made_with(plan: Plan) -> Expected:
    """Backbone and version of all files."""
    return {"backbone": plan.params.backbone.label, "extraction_version": EXTRACTION_VERSION}


def expected_shard(plan: Plan, shard: Shard) -> Expected:
    """Header values of one shard."""
    return _images(plan, shard.domain) | {"rows_key": shard.key}


def expected_joined(plan: Plan, domain: Domain) -> Expected:
    """Header values of a joined file; its shards were looked at when they were joined."""
    return _images(plan, domain)


def _images(plan: Plan, domain: str) -> Expected:
    return made_with(plan) | {"domain": domain, "dtype": plan.params.features.dtype}


def expected_text(plan: Plan, kind: str, graph: RelationGraph | None = None) -> Expected:
    """Header values of the text vectors of ``classes`` or ``nodes``; see `text_names`."""
    names, prompt_names = text_names(plan, kind, graph)
    return made_with(plan) | {
        "rows_key": text_rows_key(names, prompt_names, plan.params.prompts.templates)
    }


def text_names(
    plan: Plan, kind: str, graph: RelationGraph | None = None
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Names of ``classes`` or ``nodes``, and the prompt names of each.

    The plan's ``graph`` is read for ``nodes`` unless it is given.
    """
    if kind == "classes":
        classes = plan.classes
        return [entry.name for entry in classes], [entry.prompt_names for entry in classes]
    names = list((graph or read_graph(plan)).names)
    return names, [(name,) for name in names]
