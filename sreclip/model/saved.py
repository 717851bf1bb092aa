"""What a model folder says of itself: ``model.json``, beside ``model.safetensors`` and a card.

Nothing in the folder is ever run or unpickled. ``model.json`` names the hash of the tensors and of
itself, so that a folder that was cut short or edited is refused. The card, ``README.md``, is for
readers and may be edited.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sreclip.errors import StoreError
from sreclip.files import file_sha256, read_json, write_json
from sreclip.keys import content_key

FORMAT = 1
ABOUT, TENSORS, CARD = "model.json", "model.safetensors", "README.md"
# Of texts in the tensors, of the classes and of none of them; all other names are those of states.
TEXT, BACKGROUND = "class_text", "background_text"
AGAIN = "copy the folder again, or save the model again with: sreclip save"


@dataclass(frozen=True)
class Threshold:
    """What a least probability does to the target of the fit.

    ``kept`` is the fraction of images at or above it, ``expected_error`` one minus their mean
    probability, and ``error`` the fraction of wrong ones among the ``n`` of these that have a
    label. None where there is no image.
    """

    least: float
    kept: float
    expected_error: float | None
    error: float | None
    n: int


@dataclass(frozen=True)
class Added:
    """A class that came after the fit, and how near its text is to those of the others.

    Attributes
    ----------
    name, when
        The class, and the day it came.
    meaning
        How it is scored (`sreclip.model.growing.Rule`).
    texts
        What was encoded for it; empty where its vector was given.
    nearest
        The classes with the nearest texts and their cosines, descending.
    as_near
        Fraction of the other classes that have another one as near as that; None with one class.
    """

    name: str
    when: str
    meaning: str
    texts: Sequence[str]
    nearest: Sequence[tuple[str, float]]
    as_near: float | None

    @property
    def line(self) -> str:
        """How it is scored, and what it may be taken for, in words."""
        said = ", ".join(f'"{text}"' for text in self.texts) or "a given vector"
        near = ", ".join(f"{name} {cosine:.2f}" for name, cosine in self.nearest)
        line = f"{self.name} ({self.when}): {self.meaning}. Text: {said}. Nearest texts: {near}"
        if self.as_near is None:
            return line
        return f"{line}; {self.as_near:.0%} of the other classes have one as near"


@dataclass(frozen=True)
class SavedModel:
    """The content of ``model.json``.

    Attributes
    ----------
    method, title, settings
        Registered name, display name and settings of the method.
    classes, known, prompts
        Names in the order of the logits, which of them the source had, and what was encoded for
        each (`sreclip.plan.prompts.Prompts`).
    backbone, features
        Settings of the backbone, and those of the features that pixels depend on.
    made_with
        Weights' hash, network, preprocessing and precision that the backbone must have.
    logit_scale, dim
        Of the backbone.
    seeds
        Those whose states are kept; their logits are averaged.
    key, sreclip
        Content key of the fit, and the version that saved it.
    transductive
        The fit saw the target: new images are scored by what it kept of it.
    thresholds
        By `Threshold.least`.
    about
        For the card: counts, measures, credits.
    tensors_sha256
        Of ``model.safetensors``.
    background
        Sentences for images of none of the classes; their vectors are among the tensors.
    added
        Classes that came after the fit, the last ones of ``classes``; `sreclip.model.adding`.
    """

    method: str
    title: str
    settings: dict[str, Any]
    classes: list[str]
    known: list[bool]
    prompts: dict[str, Any]
    backbone: dict[str, Any]
    features: dict[str, Any]
    made_with: dict[str, str]
    logit_scale: float
    dim: int
    seeds: list[int]
    key: str
    sreclip: str
    transductive: bool
    thresholds: Sequence[Threshold]
    about: dict[str, Any]
    tensors_sha256: str
    background: Sequence[str] = ()
    added: Sequence[Added] = ()

    def write(self, folder: Path) -> None:
        """Write ``model.json``."""
        value = {"format": FORMAT, **asdict(self)}
        write_json(folder / ABOUT, value | {"digest": _digest(value)})

    @classmethod
    def read(cls, folder: Path) -> SavedModel:
        """Read and check a model folder.

        Raises
        ------
        StoreError
            There is no model, it is of another format, or a file is not what was saved.
        """
        if not (folder / ABOUT).exists():
            raise StoreError(
                f"{folder} is no saved model: it has no {ABOUT}", "save one with: sreclip save"
            )
        value = read_json(folder / ABOUT)
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            found = value.get("format") if isinstance(value, dict) else None
            raise StoreError(
                f"{folder / ABOUT} has format {found}; this sreclip reads {FORMAT}",
                "use the version of sreclip that saved it, or save the model again",
            )
        digest = value.pop("digest", None)
        if digest != _digest(value):
            raise StoreError(f"{folder / ABOUT} is not as it was saved", AGAIN)
        try:
            value["thresholds"] = [Threshold(**each) for each in value["thresholds"]]
            value["added"] = [Added(**each) for each in value.get("added", ())]
            # What came with a later version is not in the file, and has its default.
            names = {each.name for each in fields(cls)} & value.keys()
            found = cls(**{name: value[name] for name in names})
        except (KeyError, TypeError) as error:
            raise StoreError(f"{folder / ABOUT} is no description of a model", AGAIN) from error
        path = folder / TENSORS
        if not path.exists():
            raise StoreError(f"{path} is missing", AGAIN)
        if file_sha256(path) != found.tensors_sha256:
            raise StoreError(f"{path} is not as it was saved", AGAIN)
        return found


def _digest(value: dict[str, Any]) -> str:
    """Hash all values; through JSON, as tuples come back as lists."""
    return content_key(json.loads(json.dumps(value)))
