"""Drawings of the relation graph: a text tree, an SVG file and an interactive figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
TITLES = {
    "known": "known class",
    "unknown": "unknown class",
    "class": "class",
    "hypernym": "hypernym",
}
MARGIN = 24
LEGEND_PIXELS = 34
ROW_PIXELS = 20
LAYER_PIXELS = 150
LINE_COLOUR = "#c3c7cf"
FONT = "DejaVu Sans, Verdana, Arial, sans-serif"
RESOURCES = "resources"

# Known classes, (n_classes,).
Known = Sequence[bool] | np.ndarray | None


@dataclass(frozen=True)
class Node:
    """A drawn node; its layer and row are those of `tidy_layout`."""

    kind: str  # "known", "unknown", "class" (if that is not given) or "hypernym"
    label: str  # a class's own name or a hypernym's first lemma
    names: str
    wnid: str
    layer: float
    row: float
    inner: bool  # it has children
    is_root: bool

    @property
    def x(self) -> float:
        """Horizontal place in the SVG file, in pixels."""
        return MARGIN + 8 + self.layer * LAYER_PIXELS

    @property
    def y(self) -> float:
        """Vertical place in the SVG file, in pixels."""
        return MARGIN + LEGEND_PIXELS + self.row * ROW_PIXELS


def drawn_nodes(graph: RelationGraph, drawing: Outline, known: Known) -> dict[int, Node]:
    """Return the nodes of a drawing by their numbers, parents first."""
    kinds = ["hypernym"] * graph.n_nodes
    for i, number in enumerate(graph.class_nodes.tolist()):
        kinds[number] = "class" if known is None else ("known" if known[i] else "unknown")
    places = tidy_layout(drawing)
    nodes = {}
    for number, parent in drawing.parent.items():
        kind, names = kinds[number], graph.names[number]
        label = names.split(", ")[0] if kind == "hypernym" else names
        inner = bool(drawing.children[number])
        nodes[number] = Node(
            kind, label, names, graph.wnids[number], *places[number], inner, parent is None
        )
    return nodes


def tidy_layout(drawing: Outline) -> dict[int, tuple[float, float]]:
    """Return layer and row of each node of a tidy tree that grows to the right.

    A root has layer 0 and a child its parent's plus 1; the first leaf has row 0, and a parent is
    halfway between its first and its last child.
    """
    places: dict[int, tuple[float, float]] = {}
    n_leaves = 0

    def place(node: int, layer: float) -> float:
        nonlocal n_leaves
        rows = [place(child, layer + 1) for child in drawing.children[node]]
        if not rows:
            rows = [float(n_leaves)]
            n_leaves += 1
        places[node] = layer, (rows[0] + rows[-1]) / 2
        return places[node][1]

    for root in drawing.roots:
        place(root, 0.0)
    return places


def text_tree(graph: RelationGraph, known: Known = None) -> Tree:
    """Return classes below their hypernyms, to print with rich.

    Known classes are marked with a filled and unknown ones with an open circle.
    """
    from rich.text import Text
    from rich.tree import Tree

    drawing = outline(graph)
    nodes = drawn_nodes(graph, drawing, known)
    marks = {"known": "\u25cf ", "unknown": "\u25cb ", "class": "\u25cf ", "hypernym": ""}
    # Terminal colours that are readable on dark and on light.
    styles = {"known": "bold blue", "unknown": "bold yellow", "class": "bold", "hypernym": "dim"}

    def add(branch: Tree, number: int) -> None:
        kind = nodes[number].kind
        line = Text(marks[kind] + nodes[number].label, style=styles[kind])
        if kind == "unknown":
            line.append(" (unknown)")
        below = branch.add(line)
        for child in drawing.children[number]:
            add(below, child)

    tree = Tree(Text("relation graph"))
    for root in drawing.roots:
        add(tree, root)
    return tree


def draw_to_file(graph: RelationGraph, path: Path, known: Known = None) -> None:
    """Draw a graph as ``.svg`` or as interactive ``.html``; `GraphError` for another ending."""
    if path.suffix == ".svg":
        write_text(path, svg_text(graph, known))
    elif path.suffix == ".html":
        write_text(path, draw_figure(graph, known).to_html(include_plotlyjs=True))
    else:
        raise GraphError(f"{path}: the name must end in .svg or .html")


def svg_text(graph: RelationGraph, known: Known = None) -> str:
    """Return the drawing as an SVG document; dashed lines are further hypernym edges."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    drawing = outline(graph)
    nodes = drawn_nodes(graph, drawing, known)
    label_ends = [
        node.x + 20 + 7.5 * len(node.names) for node in nodes.values() if node.kind != "hypernym"
    ]
    environment = Environment(
        loader=PackageLoader("sreclip.graph", RESOURCES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["px"] = "{:.1f}".format
    return environment.get_template("graph.svg.j2").render(
        width=max(int(max(label_ends) + MARGIN), 420),
        height=int(max(node.y for node in nodes.values()) + MARGIN),
        margin=MARGIN,
        font=FONT,
        line=LINE_COLOUR,
        colours=COLOURS,
        titles=TITLES,
        kinds={node.kind for node in nodes.values()},
        nodes=list(nodes.values()),
        tree=[(nodes[child], nodes[up]) for child, up in drawing.parent.items() if up is not None],
        cross=[(nodes[child], nodes[up]) for child, up in drawing.cross],
    )


def draw_figure(graph: RelationGraph, known: Known = None) -> Figure:
    """Return the drawing as a plotly figure: hover shows lemmas and WordNet id."""
    import plotly.graph_objects as go

    drawing = outline(graph)
    nodes = drawn_nodes(graph, drawing, known)
    x: list[float | None] = []
    y: list[float | None] = []
    for child, up in drawing.parent.items():
        if up is not None:
            # An elbow, and a gap before the next one.
            x += [nodes[up].layer, nodes[up].layer, nodes[child].layer, None]
            y += [nodes[up].row, nodes[child].row, nodes[child].row, None]
    figure = go.Figure(
        go.Scatter(
            x=x,
            y=y,
            mode="lines",
            line={"color": LINE_COLOUR, "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    for kind in ("hypernym", "class", "known", "unknown"):
        members = [node for node in nodes.values() if node.kind == kind]
        if members:
            figure.add_trace(_node_trace(members, kind))
    n_rows = max(node.row for node in nodes.values()) + 1
    n_layers = max(node.layer for node in nodes.values()) + 1
    figure.update_layout(
        template="plotly_white",
        height=int(110 + ROW_PIXELS * n_rows),
        margin={"l": 20, "r": 20, "t": 50, "b": 20},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        xaxis={"visible": False, "range": [-0.3, n_layers + 0.5]},
        yaxis={"visible": False, "range": [n_rows, -1.0]},
    )
    return figure


def _node_trace(nodes: Sequence[Node], kind: str) -> dict[str, Any]:
    colour = COLOURS[kind]
    return {
        "type": "scatter",
        "x": [node.layer for node in nodes],
        "y": [node.row for node in nodes],
        "mode": "markers+text",
        "name": TITLES[kind],
        # A space, or the mark covers the first letter.
        "text": [
            ("" if node.inner else "\N{NO-BREAK SPACE}") + escape(node.label) for node in nodes
        ],
        "textposition": ["top left" if node.inner else "middle right" for node in nodes],
        "textfont": {"size": 11, "color": colour},
        "marker": {
            "size": 6 if kind == "hypernym" else 9,
            "color": "white" if kind == "unknown" else colour,
            "line": {"color": colour, "width": 2},
        },
        "hovertext": [f"{escape(node.names)}<br>{escape(node.wnid)}" for node in nodes],
        "hoverinfo": "text",
    }
