"""Draw the figures of docs/concepts.md: ``python scripts/figures.py``.

Numbers are read from ``reports/metrics.json`` and from the table of docs/results.md, so that a
figure says what these say. The images are OpenMoji's (CC BY-SA 4.0), those of the demo task.
"""

from __future__ import annotations

import json
import math
import random
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

from sreclip.data.manifest import Domain
from sreclip.data.tasks.openmoji import STYLES, emoji_of
from sreclip.data.tasks.openmoji import drawing as task_drawing

ROOT = Path(__file__).parents[1]
KNOWN, UNKNOWN = "#1f5fa8", "#b45309"
INK, FAINT, LINE = "#24292f", "#57606a", "#d0d7de"
STYLE = f"""<style>
text {{ font: 15px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: {INK} }}
.title {{ font-weight: 600; font-size: 17px }}
.small {{ font-size: 13px; fill: {FAINT} }}
.known {{ fill: {KNOWN} }} .unknown {{ fill: {UNKNOWN} }}
</style>"""
IMAGES = {
    "source": {"animal": "tiger", "car": "blue_car", "clock": "alarm_clock"},
    "target": {
        "animal": "elephant",
        "car": "taxi",
        "clock": "clock2",
        "bird": "penguin",
        "fruit": "pineapple",
        "building": "european_castle",
    },
}
KNOWN_CLASSES, UNKNOWN_CLASSES = ("animal", "car", "clock"), ("bird", "fruit", "building")
PARTS = {
    "taught 0": "taught texts",
    "trust 0": "places of images",
    "class_bias 0": "class bias",
    "relation_images 0": "relation",
    "pull 0": "pull of neighbours",
}


def main(folder: Path) -> None:
    """Write all figures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in figures().items():
        (folder / name).write_text(text, encoding="utf-8")


def figures() -> dict[str, str]:
    """Return the figures by the names of their files."""
    return {
        "problem.svg": problem(),
        "lost.svg": lost(),
        "method.svg": method(),
        "parts.svg": parts(),
    }


def drawing(width: int, height: int, label: str, inside: Iterable[str]) -> str:
    """Return a whole SVG on a white card, which reads well on a dark page, too."""
    card = f'<rect width="{width}" height="{height}" rx="10" fill="#fff"/>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
            f' aria-label="{label}">',
            STYLE,
            card,
            *inside,
            "</svg>\n",
        ]
    )


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{words}</text>'


def box(x: float, y: float, width: float, height: float, colour: str = LINE, more: str = "") -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" fill="none"'
        f' stroke="{colour}" stroke-width="1.5" {more}/>'
    )


def arrow(x: float, y: float, to_x: float, to_y: float, colour: str = FAINT) -> str:
    """Return a straight arrow with an open head."""
    angle = math.atan2(to_y - y, to_x - x)
    ends = [(to_x - 8 * math.cos(angle + d), to_y - 8 * math.sin(angle + d)) for d in (-0.5, 0.5)]
    (a, b), (c, d) = ends
    return (
        f'<path d="M{x:g} {y:g} L{to_x:g} {to_y:g} M{a:.1f} {b:.1f} L{to_x:g} {to_y:g} L{c:.1f}'
        f' {d:.1f}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
    )


def emoji(class_name: str, domain: Domain, x: float, y: float, size: float) -> str:
    """Return one image of the demo task as the drawing that it was made from."""
    short_name = IMAGES[domain][class_name]
    image = next(each for each in emoji_of(domain) if each.short_name == short_name)
    assert image.class_name == class_name
    drawn = ET.fromstring(task_drawing(image, STYLES[domain]))
    for element in drawn.iter():
        element.attrib.pop("id", None)
    drawn.attrib |= {"x": f"{x:g}", "y": f"{y:g}", "width": f"{size:g}", "height": f"{size:g}"}
    return re.sub(r">\s+<", "><", ET.tostring(drawn, encoding="unicode"))


def problem() -> str:
    """Source, names and target, in images of the demo task."""
    shapes = [
        text(30, 36, "Source", "title"),
        text(30, 57, "labelled images, in colour", "small"),
        text(315, 36, "Class names", "title"),
        text(315, 57, "of all classes", "small"),
        text(560, 36, "Target", "title"),
        text(560, 57, "line drawings, no label", "small"),
        box(20, 70, 210, 300),
        box(300, 70, 170, 300),
        box(550, 70, 310, 300),
        arrow(234, 150, 296, 150),
        arrow(546, 220, 474, 220),
        text(510, 205, "which?", "small", "middle"),
    ]
    for row, name in enumerate(KNOWN_CLASSES):
        y = 78 + 97 * row
        shapes += [emoji(name, "source", 35, y, 84), text(130, y + 48, name, "known")]
    for row, name in enumerate((*KNOWN_CLASSES, *UNKNOWN_CLASSES)):
        known = name in KNOWN_CLASSES
        y = 100 + 32 * row + (52 if not known else 0)
        shapes.append(text(322, y, name, "known" if known else "unknown"))
    shapes += [
        text(322, 192, "known: 3", "small"),
        text(322, 353, "unknown: 3", "small"),
        f'<path d="M312 212 H458" stroke="{LINE}" stroke-width="1.5"/>',
    ]
    mixed = ("bird", "animal", "building", "clock", "fruit", "car")
    for at, name in enumerate(mixed):
        x, y = 562 + 100 * (at % 3), 82 + 145 * (at // 3)
        shapes += [emoji(name, "target", x, y, 88), text(x + 44, y + 112, "?", "title", "middle")]
    return drawing(
        880,
        390,
        "The source has labelled images of three known classes, the target unlabelled images of"
        " these and of three unknown classes; all six have names.",
        shapes,
    )


def lost() -> str:
    """Known and unknown accuracy of the demo's methods."""
    found = json.loads((ROOT / "reports/metrics.json").read_text())["openmoji"]["mini"]
    names = {"zero_shot": "Zero-shot", "clip_adapter": "CLIP-Adapter", "sre_clip": "SRE-CLIP"}
    shapes = [
        text(150, 32, "accuracy on known classes", "known"),
        text(400, 32, "accuracy on unknown classes", "unknown"),
    ]
    for row, (key, name) in enumerate(names.items()):
        y = 58 + 84 * row
        shapes.append(text(138, y + 30, name, "title", "end"))
        for at, (metric, colour) in enumerate((("known", KNOWN), ("unknown", UNKNOWN))):
            percent = 100 * found[key][metric]["mean"]
            top = y + 26 * at
            shapes += [
                f'<rect x="150" y="{top}" width="{10 * percent:.1f}" height="22" rx="3"'
                f' fill="{colour}"/>',
                text(158 + 10 * percent, top + 17, f"{percent:.0f} %"),
            ]
    return drawing(
        760,
        322,
        "Accuracy of known and unknown classes on the demo, per method",
        [*shapes, text(150, 302, "demo task, means over classes, 5 seeds", "small")],
    )


def method() -> str:
    """Four steps on points that are drawn for the purpose."""
    draw = random.Random(4)
    centres = {"cat": (70, 70), "dog": (150, 60), "owl": (105, 150)}
    points = {
        name: [(x + draw.gauss(0, 14), y + draw.gauss(0, 14)) for _ in range(9)]
        for name, (x, y) in centres.items()
    }
    texts = {"cat": (45, 112), "dog": (172, 108), "owl": (158, 184)}
    titles = (
        ("1 Texts", "the frozen model: an image", "goes to the nearest name"),
        ("2 Source images", "known classes lie where their", "source means are, shifted"),
        ("3 Relation", "an unknown class lies where", "images and relatives say"),
        ("4 Balance", "no class is favoured, and", "neighbours agree"),
    )
    shapes = []
    for panel, (title, *lines) in enumerate(titles):
        x0 = 14 + 240 * panel
        shapes += [box(x0, 12, 226, 310), text(x0 + 14, 38, title, "title")]
        shapes += [text(x0 + 12, 283 + 20 * at, line, "small") for at, line in enumerate(lines)]
        inside = []
        for name, cloud in points.items():
            colour = UNKNOWN if name == "owl" else KNOWN
            if panel == 3:
                x, y = centres[name]
                inside += [
                    f'<path d="M{a:.1f} {b:.1f} L{x} {y}" stroke="{colour}" opacity=".35"/>'
                    for a, b in cloud
                ]
            settled = panel == 3 or (panel == 2 and name == "owl")
            settled |= panel in (1, 2) and name != "owl"
            fill = colour if settled else "#8c959f"
            inside += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{fill}"/>' for a, b in cloud]
            if panel and (name != "owl" or panel > 1):
                x, y = centres[name]
                inside.append(
                    f'<ellipse cx="{x}" cy="{y}" rx="34" ry="32" fill="{colour}"'
                    f' fill-opacity=".10" stroke="{colour}"/>'
                )
            x, y = texts[name]
            inside.append(
                f'<path d="M{x} {y - 6} l6 6 l-6 6 l-6 -6 z" fill="{colour}"/>'
                + text(x + 9, y + 5, name, "unknown" if name == "owl" else "known")
            )
            if panel == 1 and name != "owl":
                inside.append(arrow(x, y - 6, *centres[name], colour))
            if panel == 2 and name == "owl":
                inside.append(arrow(x - 4, y - 4, centres["owl"][0] + 8, centres["owl"][1], colour))
        shapes.append(f'<g transform="translate({x0 - 12} 40) scale(1.08)">{"".join(inside)}</g>')
    return drawing(
        982,
        336,
        "Four steps: images go to the nearest text; known classes move to where their source"
        " images say; unknown classes follow by relation and by their own images; biases are"
        " taken off and neighbours agree.",
        shapes,
    )


def parts() -> str:
    """H of zero-shot, of SRE-CLIP, and with each part switched off, on the sets of results.md."""
    head, rows = part_table()
    shapes = []
    shown = {"zero-shot": "zero-shot", "defaults": "SRE-CLIP", **PARTS}
    for column, name in enumerate(head):
        x = 250 + 112 * column
        shapes.append(text(x + 50, 34, re.sub("Stanford |, to", "", name), "small", "middle"))
    for row, (key, name) in enumerate(shown.items()):
        y = 48 + 44 * row + (14 if key in PARTS else 0)
        label = f"without {name}" if key in PARTS else name
        shapes.append(text(238, y + 25, label, "" if key in PARTS else "title", "end"))
        for column, value in enumerate(rows[key]):
            x, best = 250 + 112 * column, rows["defaults"][column]
            lost_here = best - value
            strength = 0.0 if key == "defaults" else min(abs(lost_here) / 10, 1)
            colour = UNKNOWN if lost_here > 0 else KNOWN
            shapes += [
                f'<rect x="{x}" y="{y}" width="104" height="38" rx="6" fill="{colour}"'
                f' fill-opacity="{0.75 * strength:.2f}" stroke="{LINE}"/>',
                text(x + 52, y + 25, f"{value:.1f}", "", "middle"),
            ]
    note = "H in percent; orange: less than SRE-CLIP with all its parts, blue: more"
    return drawing(
        940,
        408,
        "H on six sets: zero-shot, SRE-CLIP, and SRE-CLIP without each of its parts",
        [*shapes, text(250, 394, note, "small")],
    )


def part_table() -> tuple[list[str], dict[str, list[float]]]:
    """Return the sets of the table *What each part is worth*, and H per row."""
    page = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    table = page[page.index("## What each part of `sre_clip` is worth") :]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    head = [cell.strip() for cell in lines[0].strip("|").split("|")][1:]
    rows = {}
    for line in lines[2:]:
        name, *cells = (cell.strip(" `") for cell in line.strip("|").split("|"))
        if not all(cell.count("/") == 2 for cell in cells):
            break
        rows[name] = [float(cell.split("/")[2]) for cell in cells]
    return head, rows


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images")
