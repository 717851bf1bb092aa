"""Prompt ensembles against plain numpy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from sreclip.errors import DataError, StoreError
from sreclip.features.header import Header, Provenance
from sreclip.features.images import open_images
from sreclip.features.text import encode_texts, read_text, text_rows_key, write_text
from sreclip.features.verify import verify_file

NAMES = ["cat", "sea {lion}", "été"]
PROMPT_NAMES = [["cat", "kitten"], ["sea {lion}"], ["summer", "été", "cat"]]
TEMPLATES = ["a photo of a {}.", "{} in {a set}"]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def extract(
    out: Path,
    backbone: SimpleNamespace,
    names: list[str] = NAMES,
    prompt_names: list[list[str]] = PROMPT_NAMES,
    templates: list[str] = TEMPLATES,
) -> Header:
    vectors = encode_texts(names, prompt_names, templates, backbone)
    about = {"names": names, "prompt_names": prompt_names, "templates": templates}
    write_text(out, Provenance.of(backbone, "float32"), vectors, **about)
    return read_text(out).header


def test_averages_are_those_of_plain_numpy(
    fake: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sreclip.features.text.BATCH", 3)
    backbone = fake.Backbone()
    header = extract(tmp_path / "a.h5", backbone)
    text = read_text(tmp_path / "a.h5", {"key": header.key})
    with h5py.File(tmp_path / "a.h5") as file:
        by_template = file["templates"][:]
        assert file.attrs["kind"] == "text"
    for row, group in enumerate(PROMPT_NAMES):
        every = np.stack(
            [
                [fake.Backbone().encode_text([before + name + after]).numpy()[0] for name in group]
                for before, after in (("a photo of a ", "."), ("", " in {a set}"))
            ]
        )
        np.testing.assert_allclose(text.features[row], unit(every.mean(axis=(0, 1))), atol=1e-6)
        np.testing.assert_allclose(by_template[row], unit(every.mean(axis=1)), atol=1e-3)
    assert text.features.dtype == np.float32
    assert by_template.dtype == np.float16
    assert text.names == NAMES
    assert sorted(backbone.texts_seen) == sorted(set(backbone.texts_seen))
    rows_key = text_rows_key(NAMES, PROMPT_NAMES, TEMPLATES)
    assert header.key == Provenance.of(backbone, "float32").file_key("text", rows_key)
    verify_file(tmp_path / "a.h5")


def test_same_names_same_bytes(fake: SimpleNamespace, tmp_path: Path) -> None:
    for name in "ab":
        extract(tmp_path / f"{name}.h5", fake.Backbone())
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_more_names_than_an_attribute_could_hold(fake: SimpleNamespace, tmp_path: Path) -> None:
    names = [f"a rather long name of a class, number {number}" for number in range(3000)]
    extract(tmp_path / "a.h5", fake.Backbone(), names, [[name] for name in names], ["{}"])
    assert read_text(tmp_path / "a.h5").names == names


def test_a_prompt_longer_than_the_context_names_class_and_template(fake: SimpleNamespace) -> None:
    long = "a photo of " + "very " * 15 + "{}."
    assert encode_texts(["cat"], [["cat"]], ["{}", long], fake.Backbone()).features.shape == (1, 16)
    with pytest.raises(
        DataError, match=r"'lion'.* has 23 tokens, but fake reads only 20"
    ) as caught:
        encode_texts(
            ["cat", "lion"], [["cat"], ["big wild cat or lion"]], ["{}", long], fake.Backbone()
        )
    assert "'a photo of very very" in caught.value.message


def test_a_sentence_longer_than_the_context_names_class_and_sentence(fake: SimpleNamespace) -> None:
    with pytest.raises(DataError, match=r"'lion': its sentence 'so so .* but fake reads only 20"):
        encode_texts(
            ["cat", "lion"], [(), ()], [], fake.Backbone(), [["a pet"], ["a cat", "so " * 30]]
        )


def test_vectors_that_cannot_be_used(
    fake: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = fake.Backbone()
    backbone.encode_text = lambda texts: 0 * fake.Backbone().encode_text(texts)
    with pytest.raises(StoreError, match="'cat' are not finite or cancel out"):
        encode_texts(["cat"], [["cat"]], ["{}"], backbone)
    vectors = encode_texts(NAMES, PROMPT_NAMES, TEMPLATES, fake.Backbone())
    vectors.templates[1, 0] *= 2
    about = {"names": NAMES, "prompt_names": PROMPT_NAMES, "templates": TEMPLATES}
    made_with = Provenance.of(fake.Backbone(), "float32")
    with pytest.raises(StoreError, match=r"the row of sea \{lion\} is not of unit length"):
        write_text(tmp_path / "a.h5", made_with, vectors, **about)
    monkeypatch.setattr("sreclip.features.text.check_rows", lambda *_: None)
    write_text(tmp_path / "a.h5", made_with, vectors, **about)
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"the row of sea \{lion\} is not of unit length"):
        verify_file(tmp_path / "a.h5")


def test_texts_and_images_are_not_taken_for_one_another(
    fake: SimpleNamespace, tmp_path: Path
) -> None:
    extract(tmp_path / "a.h5", fake.Backbone())
    with pytest.raises(StoreError, match="holds text, not images"):
        open_images([tmp_path / "a.h5"])
    with pytest.raises(StoreError, match="expected 'dog'"):
        read_text(tmp_path / "a.h5", {"rows_key": "dog"})
    with pytest.raises(StoreError, match="is missing") as caught:
        read_text(tmp_path / "b.h5")
    assert "extract-text" in caught.value.hint
