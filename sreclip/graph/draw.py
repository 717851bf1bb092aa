"""Drawings of the relation graph: a text tree, an SVG file and an interactive figure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sreclip.errors import GraphError
from sreclip.files import write_text
from sreclip.graph.outline import Outline, outline
from sreclip.graph.relation_graph import RelationGraph

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
    from rich.tree import Tree

# Blue and orange of Okabe and Ito's palette, safe for colour-blind readers.
COLOURS = {"known": "#0072b2", "unknown": "#d55e00", "class": "#0072b2", "hypernym": "#8a8f98"}
ROW_PIXELS = 20
LAYER_PIXELS = 150
LINE_COLOUR = "#c3c7cf"
FONT = "DejaVu Sans, Verdana, Arial, sans-serif"

Known = Sequence[bool] | np.ndarray | None


def _kinds(graph: RelationGraph, known: Known) -> list[str]:
    """Return ``known``, ``unknown``, ``class`` (without a mask) or ``hypernym`` for each node."""
    kinds = ["hypernym"] * graph.n_nodes
    for i, node in enumerate(graph.class_nodes.tolist()):
        kinds[node] = "class" if known is None else ("known" if known[i] else "unknown")
    return kinds


def _label(graph: RelationGraph, node: int, kind: str) -> str:
    """Return a class's own name, or the first lemma of a hypernym."""
    return graph.names[node] if kind != "hypernym" else graph.names[node].split(", ")[0]


def text_tree(graph: RelationGraph, known: Known = None) -> Tree:
    """Return classes below their hypernyms, to print with rich.

    Parameters
    ----------
    graph : RelationGraph
    known : bool array, (n_classes,), optional
        Marks known classes with a filled and unknown ones with an open circle.
    """
    from rich.text import Text
    from rich.tree import Tree

    kinds = _kinds(graph, known)
    drawing = outline(graph)
    marks = {"known": "\u25cf ", "unknown": "\u25cb ", "class": "\u25cf ", "hypernym": ""}
    # Terminal colours that are readable on dark and on light.
    styles = {"known": "bold blue", "unknown": "bold yellow", "class": "bold", "hypernym": "dim"}

    def add(branch: Tree, node: int) -> None:
        kind = kinds[node]
        line = Text(marks[kind] + _label(graph, node, kind), style=styles[kind])
        if kind == "unknown":
            line.append(" (unknown)")
        below = branch.add(line)
        for child in drawing.children[node]:
            add(below, child)

    tree = Tree(Text("relation graph"))
    for root in drawing.roots:
        add(tree, root)
    return tree


def tidy_layout(n_nodes: int, drawing: Outline) -> np.ndarray:
    """Return the positions of a tidy tree that grows to the right.

    Returns
    -------
    float64 array, (n_nodes, 2)
        x: layer (0 for a root, else a parent's layer + 1); y: row, 0 for the first leaf, a
        parent halfway between its first and its last child. NaN for a node that is not drawn.
    """
    positions = np.full((n_nodes, 2), np.nan)
    row = 0

    def place(node: int, layer: int) -> None:
        nonlocal row
        below = drawing.children[node]
        for child in below:
            place(child, layer + 1)
        if below:
            y = (positions[below[0], 1] + positions[below[-1], 1]) / 2
        else:
            y = float(row)
            row += 1
        positions[node] = layer, y

    for root in drawing.roots:
        place(root, 0)
    return positions


def svg_text(graph: RelationGraph, known: Known = None) -> str:
    """Return the drawing as an SVG document; dashed lines are further hypernym edges."""
    kinds = _kinds(graph, known)
    drawing = outline(graph)
    positions = tidy_layout(graph.n_nodes, drawing)
    margin, legend = 24, 34
    x = margin + 8 + positions[:, 0] * LAYER_PIXELS
    y = margin + legend + positions[:, 1] * ROW_PIXELS
    label_ends = [x[node] + 20 + 7.5 * len(graph.names[node]) for node in graph.class_nodes]
    width = int(max(label_ends) + margin)
    height = int(np.nanmax(y) + margin)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{max(width, 420)}" height="{height}" '
        f'font-family="{FONT}" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *_svg_legend(kinds, margin, bool(drawing.cross)),
    ]
    for child, up in drawing.cross:
        parts.append(
            f'<path d="M{x[up]:.1f} {y[up]:.1f}L{x[child]:.1f} {y[child]:.1f}" fill="none" '
            f'stroke="{LINE_COLOUR}" stroke-dasharray="3 4"/>'
        )
    for child, parent in drawing.parent.items():
        if parent is not None:
            parts.append(
                f'<path d="M{x[parent]:.1f} {y[parent]:.1f}V{y[child]:.1f}H{x[child]:.1f}" '
                f'fill="none" stroke="{LINE_COLOUR}" stroke-width="1.5"/>'
            )
    for node in drawing.parent:
        parts.append(_svg_node(graph, node, kinds[node], (x[node], y[node]), drawing))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _svg_node(
    graph: RelationGraph, node: int, kind: str, place: tuple[float, float], drawing: Outline
) -> str:
    x, y = place
    colour = COLOURS[kind]
    inner = bool(drawing.children[node])
    # The label of an inner node is on the line that leads to it, a leaf's beside its dot.
    at_root = inner and drawing.parent[node] is None
    if inner:
        where = f'x="{x - 8 if at_root else x - 6:.1f}" y="{y - 6:.1f}"'
        where += "" if at_root else ' text-anchor="end"'
    else:
        where = f'x="{x + 9:.1f}" y="{y + 4:.1f}"'
    fill = "#ffffff" if kind == "unknown" else colour
    radius = 3 if kind == "hypernym" else 4.5
    label = escape(_label(graph, node, kind))
    weight = ' font-weight="bold"' if kind != "hypernym" and inner else ""
    text_colour = "#5a5f68" if kind == "hypernym" else colour
    return (
        f"<g><title>{escape(graph.names[node])} ({escape(graph.wnids[node])})</title>"
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" stroke="{colour}" '
        f'stroke-width="2"/><text {where} fill="{text_colour}"{weight} stroke="#ffffff" '
        f'stroke-width="3" paint-order="stroke">{label}</text></g>'
    )


def _svg_legend(kinds: list[str], margin: int, has_cross: bool) -> list[str]:
    """Return one line with the kinds of nodes in the drawing."""
    titles = {
        "known": "known class",
        "unknown": "unknown class",
        "class": "class",
        "hypernym": "hypernym",
    }
    parts = []
    x = margin + 8
    for kind, title in titles.items():
        if kind in kinds:
            fill = "#ffffff" if kind == "unknown" else COLOURS[kind]
            parts.append(
                f'<circle cx="{x}" cy="{margin}" r="4.5" fill="{fill}" stroke="{COLOURS[kind]}" '
                f'stroke-width="2"/><text x="{x + 10}" y="{margin + 4}" fill="#333">{title}</text>'
            )
            x += 34 + 7 * len(title)
    if has_cross:
        parts.append(
            f'<path d="M{x} {margin}h20" stroke="{LINE_COLOUR}" stroke-dasharray="3 4"/>'
            f'<text x="{x + 26}" y="{margin + 4}" fill="#333">further hypernym</text>'
        )
    return parts


def draw_to_file(graph: RelationGraph, path: Path, known: Known = None) -> None:
    """Draw a graph as ``.svg`` or as interactive ``.html``.

    Raises
    ------
    GraphError
        The path has another ending.
    """
    if path.suffix == ".svg":
        write_text(path, svg_text(graph, known))
    elif path.suffix == ".html":
        write_text(path, draw_figure(graph, known).to_html(include_plotlyjs=True))
    else:
        raise GraphError(f"{path}: the name must end in .svg or .html")


def draw_figure(graph: RelationGraph, known: Known = None) -> Figure:
    """Return the drawing as a plotly figure: hover shows lemmas and WordNet id."""
    import plotly.graph_objects as go

    kinds = _kinds(graph, known)
    drawing = outline(graph)
    positions = tidy_layout(graph.n_nodes, drawing)
    lines = _line_points(positions, drawing)
    figure = go.Figure(
        go.Scatter(
            x=lines[0],
            y=lines[1],
            mode="lines",
            line={"color": LINE_COLOUR, "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    for kind in ("hypernym", "class", "known", "unknown"):
        nodes = [node for node in drawing.parent if kinds[node] == kind]
        if nodes:
            figure.add_trace(_node_trace(graph, nodes, kind, positions, drawing))
    n_rows = float(np.nanmax(positions[:, 1])) + 1
    figure.update_layout(
        template="plotly_white",
        height=int(110 + ROW_PIXELS * n_rows),
        margin={"l": 20, "r": 20, "t": 50, "b": 20},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        xaxis={"visible": False, "range": [-0.3, float(np.nanmax(positions[:, 0])) + 1.5]},
        yaxis={"visible": False, "range": [n_rows, -1.0]},
    )
    return figure


def _line_points(
    positions: np.ndarray, drawing: Outline
) -> tuple[list[float | None], list[float | None]]:
    """Return the elbow lines of the tree as one line with gaps."""
    x: list[float | None] = []
    y: list[float | None] = []
    for child, up in drawing.parent.items():
        if up is not None:
            (x_up, y_up), (x_child, y_child) = positions[up].tolist(), positions[child].tolist()
            x += [x_up, x_up, x_child, None]
            y += [y_up, y_child, y_child, None]
    return x, y


def _node_trace(
    graph: RelationGraph, nodes: list[int], kind: str, positions: np.ndarray, drawing: Outline
) -> Any:
    import plotly.graph_objects as go

    colour = COLOURS[kind]
    return go.Scatter(
        x=positions[nodes, 0].tolist(),
        y=positions[nodes, 1].tolist(),
        mode="markers+text",
        name=kind if kind in ("hypernym", "class") else f"{kind} class",
        text=[escape(_label(graph, node, kind)) for node in nodes],
        textposition=["top left" if drawing.children[node] else "middle right" for node in nodes],
        textfont={"size": 11, "color": colour},
        marker={
            "size": 6 if kind == "hypernym" else 9,
            "color": "white" if kind == "unknown" else colour,
            "line": {"color": colour, "width": 2},
        },
        hovertext=[f"{escape(graph.names[node])}<br>{escape(graph.wnids[node])}" for node in nodes],
        hoverinfo="text",
    )
