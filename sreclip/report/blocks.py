"""Figures of the page with their captions, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sreclip.evaluate.stored import Evaluation
from sreclip.graph.relation_graph import RelationGraph
from sreclip.report import figures as draw
from sreclip.report.block import Block, View, optional
from sreclip.report.class_groups import class_groups
from sreclip.report.curves import training_figures
from sreclip.report.feature_map import Maps, map_figures
from sreclip.report.matrix import group_figure, matrix_figure
from sreclip.report.reliability import Bins, reliability_figure

if TYPE_CHECKING:
    import pandas as pd

NO_IMAGE = "No labelled target image is of {} class"
ABSENT = {"known": NO_IMAGE.format("a known"), "unknown": NO_IMAGE.format("an unknown")}


def bars_block(results: Sequence[Evaluation], colours: Mapping[str, str], n_seeds: int) -> Block:
    spread = (
        f"The whiskers are the Student-t interval of the mean over {n_seeds} seeds; "
        "they have no length if every seed gives the same."
        if n_seeds > 1
        else "There is one seed, so there are no intervals."
    )
    absent = [
        f"{sentence}, so the bars of that kind and of H are left out. "
        for metric, sentence in ABSENT.items()
        if metric not in results[0].metrics
    ]
    return Block(
        "bars",
        "Bar chart of the accuracy on known and unknown classes and their harmonic mean, "
        "for each method.",
        "A method is useful if it gains on known classes without losing on unknown ones: H, "
        "the harmonic mean, falls with the worse of the two. Accuracies are means over classes, "
        f"with all classes to choose from. {''.join(absent)}{spread}",
        [View("", [("", draw.bars_figure(results, colours))])],
    )


def curve_block(results: Sequence[Evaluation], n_seeds: int) -> Block:
    if not results[0].curve:
        why = ABSENT["unknown" if "known" in results[0].metrics else "known"]
        return Block("curve", missing=f"{why}, so there is no trade-off to draw.")
    return Block(
        "curve",
        "Line chart of unknown against known accuracy, one curve per method.",
        "Along each curve a bias is added to the logits of unknown classes, from all images "
        "called unknown (left) to none (right). The full marker is the method without a bias. The "
        "hollow marker is the point with the highest harmonic mean: only the target labels tell "
        "which bias leads there, so it is an upper bound, not a result. A curve further out is "
        "better at every bias. AUSUC is the area under the curve, at most 100."
        + optional(
            n_seeds > 1,
            "Curves are means over seeds at equal known accuracy, so a marker may lie beside its "
            "curve.",
        ),
        [View("", [("", draw.curve_figure(results))])],
    )


def reliability_block(results: Sequence[Evaluation], bins: Mapping[str, Bins]) -> Block:
    return Block(
        "reliability",
        "Line chart of accuracy against confidence, one line per method.",
        "Labelled images in bins of equal width by the confidence of the prediction: how many of "
        "them are right. Above the dotted line a method is right more often than it believes, "
        "below it is too sure; the larger a marker, the more images. First seed.",
        [View("", [("", reliability_figure(results, bins))])],
    )


def confusion_block(
    results: Sequence[Evaluation], graph: RelationGraph, colours: Mapping[str, str], n_seeds: int
) -> Block:
    drawn = [(result.title, *matrix_figure(result, colours)) for result in reversed(results)]
    left_out = max(n for *_, n in drawn)
    views = [View(title, [("", figure)]) for title, figure, _ in drawn]
    if left_out:
        groups = class_groups(graph)
        views += [
            View(f"{result.title}, in {len(groups)} groups", [("", group_figure(result, groups))])
            for result in reversed(results)
        ]
    has_rejected = any(result.confusion_table[:, -1].any() for result in results)
    last = "The last column is for images that could not be read; they count as wrong."
    return Block(
        "confusion",
        "Heat map of true against predicted classes.",
        "Each row is a true class and adds up to 100 %: the stronger a cell off the diagonal, the "
        "more frequent the mistake. Unknown classes come after the known ones and are marked with "
        "○; lines separate the two. The lower left quarter has images of unknown classes that were "
        "taken for known ones, the upper right quarter the reverse."
        + optional(n_seeds > 1, f"Counts are summed over {n_seeds} seeds.")
        + optional(has_rejected, last)
        + optional(
            left_out,
            f"The {left_out} classes with the fewest mistakes are left out. In groups, which are "
            "cut from the relation graph, all classes are there; their number is in brackets.",
        ),
        views,
    )


def map_block(found: Maps, last: Evaluation, colours: Mapping[str, str]) -> Block:
    if found.problem:
        return Block("map", missing=f"Not drawn: {found.problem}.")
    n_source, n_target = int((~found.is_target).sum()), int(found.is_target.sum())
    if found.after:
        after = f"After adaptation they are as {found.title} compares them: {found.moved}. "
    else:
        after = f"{found.title} compares the frozen features and moves no image. "
    return Block(
        "map",
        "Scatter plot of source and target features in a plane.",
        f"Features of {n_source:,} source images (circles) and {n_target:,} target images "
        "(crosses), both together in one plane. Where circles and crosses lie apart the domains "
        "look different; where the crosses of a class lie with its circles labels carry over. "
        f"{after}Without a label a target image has the class that {found.title} gives it. Two "
        "axes show little of it all: near on the map is not always near.",
        [View(name, [("", figure)]) for name, figure in map_figures(found, last, colours).items()],
        choice="Features",
    )


def training_block(
    results: Sequence[Evaluation], history: Mapping[str, pd.DataFrame], n_seeds: int
) -> Block:
    trained = [result for result in reversed(results) if result.method in history]
    if not trained:
        return Block("training", missing="No method of this run is trained in steps.")
    silent = [result.title for result in results if result.method not in history]
    spread = ", mean over seeds; the band runs from the lowest to the highest seed"
    views = []
    for result in trained:
        colour, _, _ = draw.method_style(result, results)
        drawn = training_figures(history[result.method], colour)
        panels = [(term.replace("_", " "), figure) for term, figure in drawn.items()]
        views.append(View(result.title, panels))
    return Block(
        "training",
        "Line charts of the loss terms by training step.",
        f"Loss terms by training step, before weighting{spread if n_seeds > 1 else ''}. A term "
        "that is switched off is absent; a term that joins later starts later. Long runs are "
        "averaged in blocks of steps." + optional(silent, f"Without steps: {', '.join(silent)}."),
        views,
    )
