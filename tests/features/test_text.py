"""Prompt ensembles against plain numpy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sreclip.features.store import open_images, read_text, text_rows_key, verify_file

from sreclip.errors import ConfigError, DataError, StoreError
from sreclip.features.header import Provenance
from sreclip.features.text import encode_texts, extract_text

NAMES = ["cat", "sea {lion}", "été"]
PROMPT_NAMES = [["cat", "kitten"], ["sea {lion}"], ["summer", "été", "cat"]]
TEMPLATES = ["a photo of a {}.", "{} in {a set}"]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_averages_are_those_of_plain_numpy(fake: SimpleNamespace, tmp_path: Path) -> None:
    backbone = fake.Backbone()
    header = extract_text(NAMES, PROMPT_NAMES, TEMPLATES, backbone, tmp_path / "a.h5", batch_size=3)
    text = read_text(tmp_path / "a.h5", {"key": header.key})
    for row, group in enumerate(PROMPT_NAMES):
        every = np.stack(
            [
                [fake.Backbone().encode_text([before + name + after]).numpy()[0] for name in group]
                for before, after in (("a photo of a ", "."), ("", " in {a set}"))
            ]
        )
        np.testing.assert_allclose(text.features[row], unit(every.mean(axis=(0, 1))), atol=1e-6)
        np.testing.assert_allclose(text.template_features[row], unit(every.mean(axis=1)), atol=1e-3)
    assert text.features.dtype == np.float32
    assert text.template_features.dtype == np.float16
    assert text.names == tuple(NAMES)
    assert text.prompt_names == tuple(map(tuple, PROMPT_NAMES))
    assert text.template_texts == tuple(TEMPLATES)
    assert sorted(backbone.texts_seen) == sorted(set(backbone.texts_seen))
    rows_key = text_rows_key(NAMES, PROMPT_NAMES, TEMPLATES)
    assert header.key == Provenance.of(backbone, "float32").file_key("text", rows_key)
    assert verify_file(tmp_path / "a.h5") == header


def test_same_names_same_bytes(fake: SimpleNamespace, tmp_path: Path) -> None:
    for name, batch_size in (("a", 2), ("b", 100)):
        extract_text(
            NAMES,
            PROMPT_NAMES,
            TEMPLATES,
            fake.Backbone(),
            tmp_path / f"{name}.h5",
            batch_size=batch_size,
        )
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_more_names_than_an_attribute_could_hold(fake: SimpleNamespace, tmp_path: Path) -> None:
    names = [f"a rather long name of a class, number {number}" for number in range(3000)]
    extract_text(names, [[name] for name in names], ["{}"], fake.Backbone(), tmp_path / "a.h5")
    assert read_text(tmp_path / "a.h5").names == tuple(names)


@pytest.mark.parametrize("template", ["no gap", "{} and {}", "{name}", "%s"])
def test_a_template_without_one_gap(fake: SimpleNamespace, template: str) -> None:
    with pytest.raises(ConfigError) as caught:
        encode_texts(["cat"], [["cat"]], ["{}", template], fake.Backbone())
    assert repr(template) in str(caught.value)


def test_what_cannot_be_encoded(fake: SimpleNamespace) -> None:
    backbone = fake.Backbone()
    with pytest.raises(ConfigError, match="empty"):
        encode_texts(["cat"], [["cat"]], [], backbone)
    with pytest.raises(DataError, match="no names"):
        encode_texts([], [], ["{}"], backbone)
    for group in ([], [" "]):
        with pytest.raises(DataError, match="'cat' has no prompt name"):
            encode_texts(["cat"], [group], ["{}"], backbone)
    with pytest.raises(ValueError, match="2 names but 1 groups"):
        encode_texts(["cat", "dog"], [["cat"]], ["{}"], backbone)
    backbone.encode_text = lambda texts: 0 * fake.Backbone().encode_text(texts)
    with pytest.raises(StoreError, match="'cat' are not finite or cancel out"):
        encode_texts(["cat"], [["cat"]], ["{}"], backbone)


def test_texts_and_images_are_not_taken_for_one_another(
    fake: SimpleNamespace, tmp_path: Path
) -> None:
    extract_text(["cat"], [["cat"]], ["{}"], fake.Backbone(), tmp_path / "a.h5")
    with pytest.raises(StoreError, match="holds texts, not images"):
        open_images(tmp_path / "a.h5")
    with pytest.raises(StoreError, match="expected 'dog'"):
        read_text(tmp_path / "a.h5", {"rows_key": "dog"})
    with pytest.raises(StoreError, match="is missing") as caught:
        read_text(tmp_path / "b.h5")
    assert "extract-text" in caught.value.hint
