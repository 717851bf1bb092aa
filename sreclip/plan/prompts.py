"""Which texts are encoded for each class and node: templates, their names, and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sreclip.config.models import Params, PromptSettings
from sreclip.data.class_names import display_name
from sreclip.data.manifest import ClassEntry
from sreclip.errors import ConfigError, DataError, did_you_mean, some
from sreclip.files import expanded
from sreclip.plan.prompt_file import Sentence, read_prompts

BACKGROUND = "background"
_SHOWN = 10


class Prompts(NamedTuple):
    """What is encoded: names that go through templates, and sentences as they are.

    ``names`` has a group per class or node. ``sentences`` has one, too, or none at all.
    """

    names: list[tuple[str, ...]]
    templates: list[str]
    sentences: list[tuple[str, ...]]

    @property
    def own(self) -> list[dict[str, Any]]:
        """What sentences add to a key: nothing where there are none."""
        return [{"sentences": self.sentences}] if self.sentences else []

    @property
    def about(self) -> dict[str, int]:
        """Numbers of templates and, if there are any, of sentences."""
        counts = {"templates": len(self.templates)}
        return counts | ({"sentences": sum(map(len, self.sentences))} if self.sentences else {})


def class_prompts(
    params: Params, ready: Mapping[str, Any], classes: Sequence[ClassEntry]
) -> Prompts:
    """Return the prompts of the classes, with synonyms and the sentences of the file.

    Of ready features with class vectors no text is encoded; ``ready`` is what the preparation
    noted of them. Raises as `sentences_of` and `refuse_unknown_synonyms`.
    """
    prompts, own = params.prompts, [entry.prompt_names for entry in classes]
    if not params.backbone.chosen.encodes_text or ready.get("has_class_texts", False):
        return Prompts(own, [], [])
    names = [entry.name for entry in classes]
    refuse_unknown_synonyms(prompts, names)
    sentences = sentences_of(prompts, names)
    if prompts.mode == "instead" and sentences:
        return Prompts([() for _ in names], [], sentences)
    # Each name once: a synonym may be a prompt name of the class list, too.
    groups = [
        tuple(dict.fromkeys((*group, *sorted(prompts.synonyms.get(name, ())))))
        for name, group in zip(names, own, strict=True)
    ]
    return Prompts(groups, prompts.templates, sentences)


def other_prompts(params: Params, kind: str, names: Sequence[str] = ()) -> Prompts:
    """Return the prompts of the background or of ``nodes``.

    Those of the background are sentences, each with a name of its own; those of nodes are
    ``names`` in the templates, if texts are encoded.
    """
    if kind == BACKGROUND:
        sentences = params.prompts.background
        return Prompts([() for _ in sentences], [], [(sentence,) for sentence in sentences])
    templates = params.prompts.templates if params.backbone.chosen.encodes_text else []
    return Prompts([(name,) for name in names], templates, [])


def refuse_unknown_synonyms(prompts: PromptSettings, names: Sequence[str]) -> None:
    """Raise `ConfigError` if the synonyms name something else than classes."""
    unknown = [name for name in prompts.synonyms if name not in names]
    if unknown:
        said = [f"{name!r}{did_you_mean(name, names)}" for name in unknown]
        raise ConfigError(
            f"prompts.synonyms: no class of this task: {some(said)}",
            "write names of the class list or of class folders",
        )


def sentences_of(prompts: PromptSettings, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the file's sentences of each class, in the order of ``names``; empty without a file.

    Raises `DataError` as `read_prompts`, with all rows that name no class, and, where sentences
    take the place of templates, if a class has none.
    """
    if prompts.file is None:
        return []
    path = expanded(prompts.file)
    found: dict[str, list[str]] = {name: [] for name in names}
    problems = []
    for sentence in read_prompts(path):
        name = _class_of(sentence, found)
        if name is None:
            near = did_you_mean(sentence.class_name, names)
            problems.append(f"{sentence.where}: no class {sentence.class_name!r}{near}")
        else:
            found[name].append(sentence.text)
    if problems:
        raise DataError(
            f"{path}: rows that name no class of this task: {some(problems, _SHOWN)}",
            "write names of the class list or of class folders, or remove the rows",
        )
    without = [name for name, sentences in found.items() if not sentences]
    if without and prompts.mode == "instead":
        raise DataError(
            f"{path}: classes without a sentence: {some(without)}",
            "give each class one, or set prompts.mode: beside",
        )
    # A mean has no order: rows in another one make nothing again.
    return [tuple(sorted(sentences)) for sentences in found.values()]


def _class_of(sentence: Sentence, names: Mapping[str, Any]) -> str | None:
    """Return the class that a row means, with spaces in place of underscores if need be."""
    shown = display_name(sentence.class_name)
    return next((name for name in (sentence.class_name, shown) if name in names), None)
