"""How the package is built: no import circle, few layers, small modules, little at the top."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

import sreclip

ROOT = Path(sreclip.__file__).parent
PATHS = {
    ".".join(["sreclip", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(
        ".__init__"
    ): path
    for path in ROOT.rglob("*.py")
}


def statements(node: ast.AST, *, types: bool, functions: bool) -> Iterator[ast.AST]:
    """The nodes of a tree, with or without blocks for type checkers and bodies of functions."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not types:
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not functions:
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from statements(child, types=types, functions=functions)


def imports(*, types: bool, functions: bool) -> nx.DiGraph:
    """Which module imports which."""
    graph = nx.DiGraph()
    for name, path in PATHS.items():
        graph.add_node(name)
        for node in statements(ast.parse(path.read_text()), types=types, functions=functions):
            if isinstance(node, ast.ImportFrom):
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                found = {each if each in PATHS else node.module for each in inner}
                graph.add_edges_from((name, each) for each in found & PATHS.keys() - {name})
    return graph


def test_no_import_circle_at_run_time_or_for_types() -> None:
    graph = imports(types=True, functions=True)
    circles = [part for part in nx.strongly_connected_components(graph) if len(part) > 1]
    assert circles == []


def test_few_layers() -> None:
    chain = nx.dag_longest_path(imports(types=False, functions=False))
    assert len(chain) <= 11, " -> ".join(chain)


@pytest.mark.parametrize("name", PATHS)
def test_no_module_is_long(name: str) -> None:
    assert len(PATHS[name].read_text().splitlines()) <= 400


def test_little_at_the_top() -> None:
    assert len(list(ROOT.glob("*.py"))) <= 8
