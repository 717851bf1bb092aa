"""The results page: one HTML file that needs nothing from the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from sreclip.evaluate.literature import (
    LITERATURE,
    PublishedNumber,
    literature_notes,
    read_literature,
)
from sreclip.evaluate.metrics import METRICS
from sreclip.evaluate.significance import SIGNIFICANCE, read_significance
from sreclip.evaluate.stored import Evaluation, read_evaluations, zero_shot_of
from sreclip.features.viewing import has_images
from sreclip.files import write_text
from sreclip.findings.findings import Findings, find, write_findings
from sreclip.graph.relation_graph import RelationGraph
from sreclip.plan.plan import Plan
from sreclip.plan.results import FINDINGS, HISTORY, REJECTS
from sreclip.provenance.keys import flat_keys, stage_keys, versions
from sreclip.report import blocks
from sreclip.report.answer import answer
from sreclip.report.class_shares import shares_block
from sreclip.report.curves import read_history
from sreclip.report.differences import difference_view
from sreclip.report.evidence import evidence_notes
from sreclip.report.feature_map import read_maps
from sreclip.report.findings import findings_view
from sreclip.report.gains import gains_block
from sreclip.report.gallery import make_gallery
from sreclip.report.labels import (
    FEW_OF_KIND,
    GIVE_LABELS,
    NO_LABELS,
    has_unlabelled,
    is_headline,
    judged_rows,
    warnings_of,
)
from sreclip.report.map_images import make_map_images
from sreclip.report.numbers import plain
from sreclip.report.predictions import write_predictions
from sreclip.report.rejects import Rejects, list_rejects, write_rejects
from sreclip.report.reliability import read_bins
from sreclip.report.rendering import render
from sreclip.report.senses import senses_of
from sreclip.report.strip import fraction_right, make_strip
from sreclip.report.table import (
    MEANINGS,
    MINI_NOTE,
    TITLES,
    Cell,
    ResultsTable,
    selection_note,
    table_cells,
)
from sreclip.report.tree import graph_block
from sreclip.report.unlabelled import MEANINGS as SHARES
from sreclip.report.unlabelled import predictions_view

TILE_METRICS = ("known", "unknown", "h", "ausuc")
# The first group is shown, the others behind a switch.
METRIC_GROUPS: dict[str, tuple[str, ...]] = {
    "mean over classes": ("known", "unknown", "h", "all"),
    "fraction of images": ("known_micro", "unknown_micro", "all_micro", "h_micro"),
}
METRIC_GROUPS["other"] = tuple(
    name for name in METRICS if not any(name in group for group in METRIC_GROUPS.values())
)


@dataclass(frozen=True)
class ColumnGroup:
    """Columns of the results table below one head; cells by method and metric."""

    title: str
    metrics: Sequence[str]
    cells: Sequence[Sequence[Cell]]
    is_more: bool  # shown when asked for


class Content(NamedTuple):
    """What the page is about; ``findings`` where many target images have no label."""

    results: list[Evaluation]
    rejects: Rejects
    findings: Findings | None


def read_content(plan: Plan) -> Content:
    """Read what the page is about; `StoreError` if a result is missing or damaged."""
    results = read_evaluations(plan.comparison.inputs)
    findings = find(plan, results) if has_unlabelled(results[-1]) else None
    return Content(results, list_rejects(plan), findings)


def write_page(plan: Plan) -> None:
    """Write the page of a plan, and its tables; raises as `read_content`."""
    content = read_content(plan)
    text = render_page(plan, content)
    write_rejects(plan.page[REJECTS], content.rejects)
    write_findings(plan.page[FINDINGS], plan, content.findings)
    write_predictions(plan, content.results, content.rejects)
    write_text(plan.page["index.html"], text)


def render_page(plan: Plan, content: Content | None = None) -> str:
    """Return the page's text; its content is read unless it is given."""
    return render("page.html.j2", _context(plan, content or read_content(plan)))


def source_used(plan: Plan) -> int:
    """Return the number of source images of known classes, which alone are learned from."""
    counts = plan.summary["source_images"]
    return sum(
        counts[each.name] for each, known in zip(plan.classes, plan.known, strict=True) if known
    )


def _context(plan: Plan, content: Content) -> dict[str, Any]:
    results, rejects, findings = content
    params, last = plan.params, results[-1]
    graph = RelationGraph.load(plan.graph["graph.json"])
    colours = params.report.colors.model_dump()
    n_seeds = len(last.seeds)
    measured = _measured(plan, results, graph) if last.n_images else _unmeasured()
    best = measured["answer"].best if last.n_images else last
    maps = read_maps(plan, best)
    gallery = make_gallery(plan, results) if last.n_images else None
    elsewhere = gallery.paths if gallery else frozenset[str]()
    return {
        "plan": plan,
        "params": params,
        "mini_note": MINI_NOTE if params.backbone.name == "mini" else "",
        "results": results,
        "last": last,
        "n_source": source_used(plan),
        "n_known": int(last.known.sum()),
        "n_unknown": int((~last.known).sum()),
        "n_seeds": n_seeds,
        "labels_chose": last.selection == "oracle" or bool(last.warning),
        "selection_note": selection_note(last.selection, last.warning),
        "graph": graph_block(graph, results, best, colours),
        "shares": shares_block(plan, results, best, colours),
        "map": blocks.map_block(maps, last, colours),
        "points": make_map_images(plan, maps, last, elsewhere),
        "gallery": gallery,
        "senses": senses_of(last.classes, last.known.tolist(), graph),
        "training": blocks.training_block(results, read_history(plan.comparison[HISTORY]), n_seeds),
        "strip": make_strip(plan, results),
        "has_images": has_images(plan),
        "rejects": rejects,
        "params_yaml": yaml.safe_dump(
            params.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=90
        ),
        "keys": flat_keys(stage_keys(plan)),
        "versions": versions(),
        "credits": [line.strip() for line in plan.summary["credits"].splitlines() if line.strip()],
        **measured,
        **(_found(plan, results, findings) if findings else {"found": None}),
    }


def _measured(plan: Plan, results: list[Evaluation], graph: RelationGraph) -> dict[str, Any]:
    """Return what is shown where target images have labels."""
    last, evaluate = results[-1], plan.params.evaluate
    published = read_literature(plan.comparison[LITERATURE])
    differences = read_significance(plan.comparison[SIGNIFICANCE])
    colours = plan.params.report.colors.model_dump()
    n_seeds = len(last.seeds)
    found = answer(results, differences, evaluate.confidence)
    tiles = [name for name in TILE_METRICS if name in last.metrics]
    shown = [name for name in tiles if is_headline(name, last)]
    columns = _columns(results, published)
    is_result = not last.warning and last.selection != "oracle"
    return {
        "labelled": True,
        "answer": found,
        "is_result": is_result,
        "few_labels": warnings_of(last),
        "few_of_kind": FEW_OF_KIND,
        "tiles": shown,
        "tiles_left_out": len(tiles) > len(shown),
        "baseline": zero_shot_of(each for each in results if each is not found.best),
        "columns": columns,
        "metric_titles": TITLES,
        "metric_meanings": MEANINGS,
        "literature_notes": literature_notes(published, reference=bool(last.warning)),
        "differences": difference_view(
            results, differences, evaluate.bootstrap, evaluate.confidence
        ),
        "notes": [
            *ResultsTable(results, evaluate.confidence, last.selection, last.warning).notes(),
            *evidence_notes(plan, results),
        ],
        "bars": blocks.bars_block(results, colours, n_seeds),
        "curve": blocks.curve_block(results, n_seeds),
        "reliability": blocks.reliability_block(results, read_bins(plan, results)),
        "gains": gains_block(results, colours),
        "confusion": blocks.confusion_block(results, graph, colours, n_seeds),
        "percent_right": plain(100 * fraction_right(last), 1),
    }


def _unmeasured() -> dict[str, Any]:
    """Return what is shown where no target image has a label."""
    return {
        "labelled": False,
        "few_labels": [],
        "tiles": [],
        "no_labels": f"{NO_LABELS[0].upper()}{NO_LABELS[1:]}",
        "give_labels": f"{GIVE_LABELS[0].upper()}{GIVE_LABELS[1:]}",
    }


def _found(plan: Plan, results: list[Evaluation], findings: Findings) -> dict[str, Any]:
    """Return what is shown where many target images have no label."""
    return {
        "found": findings_view(plan, findings, results[-1]),
        "predicted": predictions_view(results, findings.sizes),
        "share_meanings": SHARES,
        "judged": judged_rows(results, plan.params.evaluate.confidence),
    }


def _columns(
    results: Sequence[Evaluation], published: Sequence[PublishedNumber]
) -> list[ColumnGroup]:
    """Return groups of the results table, published numbers beside those measured here."""
    numbers = [result.metrics for result in results]
    cited = {
        (one.method, one.metric): Cell(one.percent, detail=f"{one.citation}: {one.obtained}")
        for one in reversed(published)
    }
    groups: list[ColumnGroup] = []
    for title, names in METRIC_GROUPS.items():
        is_more = bool(groups)
        groups.append(ColumnGroup(title, names, table_cells(numbers, names), is_more))
        found = [name for name in names if any(metric == name for _, metric in cited)]
        if found:
            cells = [[cited.get((r.method, name), Cell("")) for name in found] for r in results]
            groups.append(ColumnGroup("published", found, cells, is_more))
    return groups
