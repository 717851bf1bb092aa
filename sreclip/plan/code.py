"""Keys of code: what the modules behind a result mean, found by their imports.

A key covers the entry modules of a stage and all that they import from sreclip, at the top or
inside of functions, except what `LEFT_OUT` names. Of each module the syntax tree counts, without
comments and docstrings, so that better prose makes nothing again. Files that ship beside a module
(templates, tables, weights) count by their bytes where the module names them in a string.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sreclip.errors import SreclipError
from sreclip.files import file_sha256
from sreclip.keys import content_key

PACKAGE = "sreclip"
ROOT = Path(__file__).parents[1]

# The module that each stage's code is found from; a fit's code is that of its method as well.
ENTRIES = {
    "graph": "sreclip.graph.build",
    "fit": "sreclip.train.method",
    "evaluation": "sreclip.evaluate.evaluation",
    "comparison": "sreclip.evaluate.comparison",
    "page": "sreclip.report.page",
    "model": "sreclip.model.save",
    "sweep": "sreclip.evaluate.sweep",
}
# Code that no key of code covers, with the reason; ".*" is for a package and all that is in it.
LEFT_OUT = {
    "sreclip.backbones.*": "expensive: EXTRACTION_VERSION, weights, preprocessing are in the keys",
    "sreclip.cli.*": "reads arguments",
    "sreclip.config.*": "the values of all settings are in the keys",
    "sreclip.data.*": "expensive: PREPARE_VERSION and the hashes of all images are in the keys",
    "sreclip.errors": "words messages",
    "sreclip.features.*": "expensive: EXTRACTION_VERSION and FORMAT_VERSION are in the keys",
    "sreclip.files": "reads and writes bytes as they are",
    "sreclip.keys": "names files",
    "sreclip.methods": "lists names; a new method changes no other",
    "sreclip.model": "lists names of formats",
    "sreclip.plan.*": "what it decides is in the keys by value",
    "sreclip.provenance.*": "records what was done",
    "sreclip.refinement": "lists names",
    "sreclip.registry": "finds a class by its name",
    "sreclip.sealed": "reads and writes numbers as they are",
    "sreclip.workflow.*": "says when what is made",
}
# Fields of syntax trees that say nothing about the meaning, or not in every version of Python.
_IGNORED_FIELDS = ("ctx", "kind", "type_comment", "type_ignores")
# Fields of statements that hold statements: imports are nowhere else.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


@cache
def code_key(*entries: str) -> str:
    """Return the key of everything behind some modules, such as ``sreclip.graph.build``."""
    return content_key([(name, _read(_path(name)).key) for name in sorted(closure(*entries))])


def shipped_files_key(module: str) -> str:
    """Return the key of the files that ship beside a module, whatever its code says."""
    path = _path(module)
    return content_key(_file_hashes(path, _meaning(ast.parse(path.read_bytes()), [])))


@cache
def closure(*entries: str) -> frozenset[str]:
    """Return the names of the modules that a key of code covers."""
    found: set[str] = set()
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [other for other in _imports(name) if not is_left_out(other)]
    return frozenset(found)


def is_left_out(module: str) -> bool:
    """Tell whether `LEFT_OUT` names a module or a package that it is in."""
    parts = module.split(".")
    packages = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return module in LEFT_OUT or any(f"{package}.*" in LEFT_OUT for package in packages)


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Modules of sreclip that a module executes: what it imports, and the packages above."""
    found: dict[str, None] = {}
    for imported in [name, *_read(_path(name)).imported]:
        parts = imported.split(".")
        if parts[0] == PACKAGE:
            # Not the package itself: all that it says is the version.
            places = [".".join(parts[:length]) for length in range(2, len(parts) + 1)]
            found |= dict.fromkeys(place for place in places if place != name and _find(place))
    return tuple(found)


def _imported_names(statements: Iterable[ast.AST]) -> Iterator[str]:
    """Dotted names in import statements, except those that only a type checker reads."""
    for node in statements:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            # What is imported may be a module itself, or a name in one.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        for_types = isinstance(node, ast.If) and _is_type_checking(node.test)
        for block in ("orelse",) if for_types else _BLOCKS:
            yield from _imported_names(getattr(node, block, ()))


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


@cache
def _find(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split(".")[1:])
    return next(filter(Path.is_file, (place / "__init__.py", place.with_suffix(".py"))), None)


def _path(module: str) -> Path:
    if path := _find(module):
        return path
    raise SreclipError(f"there is no module {module}", "check the installation of sreclip")


class _Module(NamedTuple):
    """What is kept of a module: many syntax trees at once would be slow to have about."""

    imported: tuple[str, ...]
    key: str


@cache
def _read(path: Path) -> _Module:
    tree = ast.parse(path.read_bytes())
    words = _meaning(tree, [])
    key = content_key(words, _file_hashes(path, words))
    return _Module(tuple(_imported_names(tree.body)), key)


def _meaning(node: object, words: list[str]) -> list[str]:
    """Add a syntax tree to words, the same in every version of Python."""
    if isinstance(node, list):
        words.append("[")
        for part in node:
            if not _is_text_alone(part):
                _meaning(part, words)
        words.append("]")
    elif isinstance(node, ast.AST):
        words.append(type(node).__name__)
        for name, value in ast.iter_fields(node):
            # Newer versions have further fields, which are empty where the older had none.
            if name not in _IGNORED_FIELDS and value is not None and value != []:
                words.append(name)
                _meaning(value, words)
    else:
        words.append(repr(node))
    return words


def _is_text_alone(node: object) -> bool:
    """A statement that is nothing but a string: a docstring."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _file_hashes(path: Path, words: list[str]) -> dict[str, str]:
    """SHA-256 of the files beside a module that its words name, or in folders that they name."""
    beside = _beside(path.parent)
    files = [
        file
        for name in sorted(beside)
        if repr(name) in words
        for file in ([beside[name]] if beside[name].is_file() else sorted(beside[name].rglob("*")))
        if file.is_file()
    ]
    return {file.relative_to(ROOT).as_posix(): file_sha256(file) for file in files}


@cache
def _beside(folder: Path) -> dict[str, Path]:
    """What lies beside the modules of a folder and is no code, by name."""
    return {
        place.name: place
        for place in folder.iterdir()
        if place.suffix != ".py"
        and place.name != "__pycache__"
        and not (place / "__init__.py").exists()
    }
