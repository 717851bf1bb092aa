"""What a class is called: names as words, names of WordNet ids, and no bare numbers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sreclip.data.manifest import ClassEntry
from sreclip.errors import DataError, GraphError, some

if TYPE_CHECKING:
    from sreclip.graph.wordnet import WordNet

# An id alone, which may have a digit too few or too many, or an id and the name behind it.
_CODE = re.compile(r"(n\d{5,})|(n\d{8})[- ]+(\S.*)", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\d[\d.,\s]*")
_ONE_NAME = (
    "if they are one class, give it one name in both domains; if not, name them apart in a class "
    "list that has their WordNet ids (task.folder.classes, column wnid)"
)


class ListedClass(NamedTuple):
    """One class, the folder name of its images, and where it was named: a line or a folder."""

    entry: ClassEntry
    folder: str
    where: str


def display_name(name: str) -> str:
    """Write a folder's or a listed name as words: ``polar_bear`` becomes ``polar bear``."""
    return " ".join(unicodedata.normalize("NFC", name).replace("_", " ").split())


def holds_wordnet_id(name: str) -> bool:
    """Tell whether a name is or starts with a WordNet id (``n02086240-Shih-Tzu``)."""
    return _CODE.fullmatch(display_name(name)) is not None


def decode_names(classes: Sequence[ListedClass]) -> list[ListedClass]:
    """Give classes whose name is a WordNet id the name and the id of their synset.

    The name is the synset's first lemma, or what stands behind the id. Where another class has
    that name, too, the hypernym is added in brackets, and the id where that does not help.
    WordNet is read only if a class has an id.

    Raises `DataError` for names that are numbers and have no prompt name, an id that WordNet 3.0
    lacks, and two classes that have, or may have, one synset.
    """
    _refuse_numbers(classes)
    codes = {
        at: code
        for at, item in enumerate(classes)
        if (code := _CODE.fullmatch(item.entry.name)) is not None
    }
    if not codes and all(item.entry.wnid is None for item in classes):
        return list(classes)
    from sreclip.graph.wordnet import WordNet

    wordnet = WordNet.bundled()
    ids: dict[int, str] = {}
    for at, item in enumerate(classes):
        coded = (codes[at][1] or codes[at][2]).lower() if at in codes else None
        wnid = coded or item.entry.wnid
        if wnid:
            ids[at] = _required(wnid, item, wordnet)
        if coded and item.entry.wnid not in (None, coded):
            raise DataError(
                f"{item.where}: the class {item.entry.name!r} has another WordNet id, "
                f"{item.entry.wnid!r}",
                "leave one of the two out, or give the class a name",
            )
    _refuse_shared_synsets(classes, ids, wordnet)
    names = [item.entry.name for item in classes]
    for at, code in codes.items():
        names[at] = code[3] or wordnet.lemmas(ids[at])[0]
    names = _told_apart(names, {at: ids[at] for at in codes}, wordnet)
    return [
        _renamed(item, names[at], ids[at]) if at in codes else item
        for at, item in enumerate(classes)
    ]


def tell_apart(classes: Sequence[ListedClass]) -> list[ListedClass]:
    """Rename classes that share a name, as the two cranes of ImageNet do, by their WordNet ids.

    The hypernym is added in brackets, and the id where that does not help; prompt names stay. A
    class whose folder has its name is taken to have no folder of another name.
    """
    counts = Counter(item.entry.name.casefold() for item in classes)
    shared = {
        at: item.entry.wnid
        for at, item in enumerate(classes)
        if counts[item.entry.name.casefold()] > 1 and item.entry.wnid is not None
    }
    if not shared:
        return list(classes)
    from sreclip.graph.wordnet import WordNet

    names = _told_apart([item.entry.name for item in classes], shared, WordNet.bundled())
    told = list(classes)
    for at in shared:
        entry, folder, where = classes[at]
        renamed = ClassEntry(names[at], entry.prompt_names, entry.wnid)
        told[at] = ListedClass(renamed, names[at] if folder == entry.name else folder, where)
    return told


def _renamed(item: ListedClass, name: str, wnid: str) -> ListedClass:
    entry = item.entry
    prompt_names = (name,) if entry.prompt_names == (entry.name,) else entry.prompt_names
    return item._replace(entry=ClassEntry(name, prompt_names, wnid))


def _refuse_numbers(classes: Sequence[ListedClass]) -> None:
    numbers = [
        item
        for item in classes
        if _NUMBER.fullmatch(item.entry.name) and item.entry.prompt_names == (item.entry.name,)
    ]
    if numbers:
        example = "".join(
            f"\n     {name},{item.folder}"
            for item, name in zip(numbers, ("dog", "polar bear"), strict=False)
        )
        raise DataError(
            "class names that are numbers: "
            + some([f"{item.where} ({item.entry.name!r})" for item in numbers]),
            "say what they mean in a class list (task.folder.classes: classes.csv), one line per "
            f"class:\n     name,folder{example}",
        )


def _required(wnid: str, item: ListedClass, wordnet: WordNet) -> str:
    try:
        return wordnet.require(wnid)
    except GraphError as error:
        raise DataError(f"{item.where}: {error.message}", error.hint) from error


def _refuse_shared_synsets(
    classes: Sequence[ListedClass], ids: Mapping[int, str], wordnet: WordNet
) -> None:
    owner: dict[str, ListedClass] = {}
    bare = {item.entry.name.casefold(): item for at, item in enumerate(classes) if at not in ids}
    for at, wnid in ids.items():
        item = classes[at]
        other = owner.setdefault(wnid, item)
        if other is not item:
            raise DataError(
                f"{item.where} and {other.where} have one WordNet id, {wordnet.label(wnid)}",
                _ONE_NAME,
            )
        for lemma in wordnet.lemmas(wnid):
            if named := bare.get(lemma.casefold()):
                raise DataError(
                    f"{item.where} and {named.where} may be one class: {named.entry.name!r} is a "
                    f"name of {wordnet.label(wnid)}",
                    _ONE_NAME,
                )


def _told_apart(names: list[str], ids: Mapping[int, str], wordnet: WordNet) -> list[str]:
    """Add to the names of some ids what tells them from other classes of the same name."""
    told = list(names)
    for more in (_hypernym, lambda wnid, _: wnid):
        counts = Counter(name.casefold() for name in told)
        for at, wnid in ids.items():
            if counts[told[at].casefold()] > 1:
                told[at] = f"{names[at]} ({more(wnid, wordnet)})"
    return told


def _hypernym(wnid: str, wordnet: WordNet) -> str:
    return next((wordnet.lemmas(up)[0] for up in wordnet.hypernyms(wnid)), wnid)
