"""WordNet 3.0 nouns: synsets, lemmas, hypernyms, senses of a name.

The bundled extract (``resources/wordnet_nouns.tsv.gz``) and the definitions beside it are made by
``scripts/make_wordnet_extract.py`` from Debian's ``wordnet-base``. A synset is named as in
ImageNet: ``n`` and the eight-digit offset in WordNet 3.0's ``data.noun``.

Source: G. A. Miller, "WordNet: a lexical database for English", CACM 38(11), 1995; the plural
rules are those of WordNet's ``morphy`` (manual page morphy(7WN)).
"""

from __future__ import annotations

import difflib
import gzip
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache, cached_property
from importlib.resources import files
from math import log
from typing import TypeVar

from sreclip.errors import GraphError

Node = TypeVar("Node", bound=Hashable)

DETACHMENTS = (
    ("ches", "ch"),
    ("shes", "sh"),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("men", "man"),
    ("ies", "y"),
    ("s", ""),
)
_SEPARATORS = re.compile(r"[\s_+]+")
_PUNCTUATION = re.compile(r"[\s_\-'.]+")


class WordNet:
    """The noun hierarchy.

    Parameters
    ----------
    lemmas : mapping of str to str
        Lemmas of a synset, in order, separated by spaces (a space within a lemma is an
        underscore).
    hypernyms : mapping of str to str
        Hypernyms of a synset, separated by spaces; empty for a root. Must hold no cycle.
    sense_order : mapping of str to str
        Synsets of a lower-case lemma, most frequent first; may leave out lemmas with one sense.
    exceptions : mapping of str to str
        Irregular plural to its singulars.
    sense_counts : mapping of str to str
        How often tagged texts use a lower-case lemma in each of its senses, in the order of
        ``sense_order``; may leave out lemmas.
    """

    def __init__(
        self,
        lemmas: Mapping[str, str],
        hypernyms: Mapping[str, str],
        sense_order: Mapping[str, str] | None = None,
        exceptions: Mapping[str, str] | None = None,
        sense_counts: Mapping[str, str] | None = None,
    ) -> None:
        self._lemmas = lemmas
        self._hypernyms = hypernyms
        self._sense_order = sense_order or {}
        self._exceptions = exceptions or {}
        self._sense_counts = sense_counts or {}
        self._depths: dict[str, int] = {}

    @staticmethod
    @cache
    def bundled() -> WordNet:
        """Return the extract that ships with the package, read once per process."""
        return WordNet.from_extract(_resource("wordnet_nouns.tsv.gz"))

    @classmethod
    def from_extract(cls, text: str) -> WordNet:
        """Parse the text form that ``scripts/make_wordnet_extract.py`` describes."""
        _, _, body = text.partition("\n")
        synsets, senses, exceptions = body.rstrip("\n").split("\n\n")
        lemmas: dict[str, str] = {}
        hypernyms: dict[str, str] = {}
        for line in synsets.split("\n"):
            wnid, lemmas[wnid], hypernyms[wnid] = line.split("\t")
        order: dict[str, str] = {}
        counts: dict[str, str] = {}
        for line in senses.split("\n"):
            lemma, order[lemma], counts[lemma] = line.split("\t")
        return cls(lemmas, hypernyms, order, _pairs(exceptions), counts)

    def __contains__(self, wnid: object) -> bool:
        return wnid in self._lemmas

    def __len__(self) -> int:
        return len(self._lemmas)

    def lemmas(self, wnid: str) -> tuple[str, ...]:
        """Return the names of a synset, the usual one first, with spaces between words."""
        return tuple(_words(lemma) for lemma in self._lemmas[self.require(wnid)].split())

    def label(self, wnid: str) -> str:
        """Return a synset's id with its first lemmas, for a message."""
        return f"{wnid} ({', '.join(self.lemmas(wnid)[:3])})"

    def hypernyms(self, wnid: str) -> tuple[str, ...]:
        """Return the direct hypernyms of a synset (for an instance: what it is an instance of)."""
        return tuple(self._hypernyms[self.require(wnid)].split())

    @property
    def root(self) -> str:
        """The synset above all others: ``entity``."""
        return next(wnid for wnid, above in self._hypernyms.items() if not above)

    def require(self, wnid: str) -> str:
        """Return ``wnid`` itself, or raise `GraphError` if it is not a noun synset of WordNet 3.0.

        The hint names the nearest id, or the id of a name given in its place.
        """
        if wnid in self._lemmas:
            return wnid
        near = difflib.get_close_matches(str(wnid), _near_ids(str(wnid), self._lemmas), n=1)
        near = near or list(self.senses(str(wnid))[:1])
        hint = f"the nearest is {near[0]} ({self.lemmas(near[0])[0]})" if near else ""
        form = "an id is n and eight digits, such as n02084071 (dog)"
        raise GraphError(f"{wnid!r} is not a noun synset of WordNet 3.0", hint or form)

    def ancestors(self, wnid: str) -> dict[str, int]:
        """Return the synset and its ancestors with their shortest distance, nearest first."""
        return shortest_distances(self.require(wnid), self._parents)

    def _parents(self, wnid: str) -> list[str]:
        return self._hypernyms[wnid].split()

    def depth(self, wnid: str) -> int:
        """Return the number of edges on the *longest* way from the synset up to a root.

        The longest, so that a shortcut parent ("domestic animal" of "dog") makes no synset
        more general than its other parents do.
        """
        if self.require(wnid) not in self._depths:
            above = [self.depth(parent) for parent in self._parents(wnid)]
            self._depths[wnid] = 1 + max(above, default=-1)
        return self._depths[wnid]

    @cached_property
    def _descendant_counts(self) -> dict[str, int]:
        parents = {wnid: self._parents(wnid) for wnid in self._hypernyms}
        counts = dict.fromkeys(parents, -1)
        for wnid in parents:
            for ancestor in shortest_distances(wnid, parents.__getitem__):
                counts[ancestor] += 1
        return counts

    def n_descendants(self, wnid: str) -> int:
        """Count distinct hyponyms at any distance, instances too, the synset itself not."""
        return self._descendant_counts[self.require(wnid)]

    def information_content(self, wnid: str) -> float:
        """Return the intrinsic information content ``1 - ln(hypo(s) + 1) / ln(N)``, in [0, 1].

        ``hypo`` is `n_descendants` and ``N`` counts all synsets: 1 for a leaf, about 0 for the
        root.

        Source: Seco, Veale, Hayes, "An intrinsic information content metric for semantic
        similarity in WordNet", ECAI 2004.
        """
        return 1.0 - log(self.n_descendants(wnid) + 1) / log(max(len(self), 2))

    @cached_property
    def _senses_of_lemma(self) -> dict[str, list[str]]:
        index: dict[str, list[str]] = {}
        for wnid, lemmas in self._lemmas.items():
            for lemma in lemmas.lower().split():
                index.setdefault(lemma, []).append(wnid)
        for lemma, wnids in self._sense_order.items():
            index[lemma] = wnids.split()
        return index

    @cached_property
    def _lemma_of_letters(self) -> dict[str, str]:
        """Lemmas by their letters alone, to find ``teddybear``, ``TV set`` or ``St Bernard``."""
        letters: dict[str, str] = {}
        for lemma in self._senses_of_lemma:
            letters.setdefault(_PUNCTUATION.sub("", lemma), lemma)
        return letters

    def senses(self, name: str) -> tuple[str, ...]:
        """Return the synsets that a name can mean, most frequent first.

        Case does not matter, nor whether words are joined by a space, an underscore, a plus sign
        or a hyphen. A plural is tried as written and then as its singulars. A compound that is not
        in WordNet is not cut down to its head noun: see `suggest`.
        """
        return tuple(
            dict.fromkeys(
                wnid for lemma in self._lemmas_of(name) for wnid in self._senses_of_lemma[lemma]
            )
        )

    def sense_counts(self, name: str) -> dict[str, int]:
        """Return how often the texts that WordNet's authors tagged use a name in each sense.

        Most senses, and all of a rare name, have no count. Where the name as written is a lemma,
        its singulars do not count: "glasses" are no frequent "glass".
        """
        counts: dict[str, int] = {}
        for lemma in self._lemmas_of(name)[:1]:
            uses = map(int, self._sense_counts.get(lemma, "").split())
            counts = dict(zip(self._senses_of_lemma[lemma], uses, strict=False))
        return counts

    def is_proper_noun(self, name: str, wnid: str) -> bool:
        """Tell whether WordNet writes a name in capitals where it has this sense."""
        forms = {_words(lemma) for lemma in self._lemmas_of(name)}
        written = [lemma for lemma in self.lemmas(wnid) if lemma.lower() in forms]
        return bool(written) and all(lemma[:1].isupper() for lemma in written)

    def _lemmas_of(self, name: str) -> list[str]:
        """Return the lemmas that a name can be a form of."""
        forms = self._singulars(_SEPARATORS.sub("_", name.strip().lower()))
        spelled = dict.fromkeys(
            spelling
            for form in forms
            for spelling in (form, form.replace("-", "_"), form.replace("_", "-"))
        )
        found = [lemma for lemma in spelled if lemma in self._senses_of_lemma]
        if found:
            return found
        letters = (self._lemma_of_letters.get(_PUNCTUATION.sub("", form)) for form in forms)
        return list(dict.fromkeys(lemma for lemma in letters if lemma is not None))

    def _singulars(self, key: str) -> list[str]:
        """Return the form itself, then what it can be the plural of, by WordNet's own rules."""
        head, joint, last = key.rpartition("_")
        irregular = self._exceptions.get(key, "").split()
        irregular += [head + joint + word for word in self._exceptions.get(last, "").split()]
        if irregular or len(last) < 3 or last.endswith("ss"):
            return [key, *irregular]
        suffix = "ful" if last.endswith("ful") else ""
        stem = key.removesuffix(suffix)
        regular = [
            stem.removesuffix(ending) + replacement + suffix
            for ending, replacement in DETACHMENTS
            if stem.endswith(ending)
        ]
        return [key, *regular]

    def suggest(self, name: str, n: int = 3) -> list[str]:
        """Return names in WordNet that look like ``name``.

        The longest endings and beginnings of a compound come first (``golden retriever dog``:
        ``dog``, ``golden retriever``), then close spellings.
        """
        words = _SEPARATORS.sub(" ", name.strip().lower()).replace("-", " ").split()
        endings = [" ".join(words[i:]) for i in range(1, len(words))]
        beginnings = [" ".join(words[:-i]) for i in range(1, len(words))]
        parts = [next(filter(self.senses, several), "") for several in (endings, beginnings)]
        key = "_".join(words)
        pool = (lemma for lemma in self._senses_of_lemma if lemma[:1] == key[:1])
        alike = [lemma for lemma in pool if abs(len(lemma) - len(key)) <= 2]
        close = difflib.get_close_matches(key, alike, n=n, cutoff=0.75)
        suggestions = dict.fromkeys([*filter(None, parts), *map(_words, close)])
        return list(suggestions)[:n]


def shortest_distances(start: Node, parents: Callable[[Node], Iterable[Node]]) -> dict[Node, int]:
    """Return a node and its ancestors with the number of edges up to each, nearest first."""
    distances = {start: 0}
    # The list grows while it is read: a breadth-first search.
    queue = [start]
    for node in queue:
        for parent in parents(node):
            if parent not in distances:
                distances[parent] = distances[node] + 1
                queue.append(parent)
    return distances


@cache
def glosses() -> Mapping[str, str]:
    """Return the definition of each synset, read once per process."""
    return _pairs(_resource("wordnet_glosses.tsv.gz").partition("\n")[2])


def _resource(name: str) -> str:
    resource = files("sreclip.graph") / "resources" / name
    return gzip.decompress(resource.read_bytes()).decode("utf-8")


def _pairs(block: str) -> dict[str, str]:
    return dict(line.split("\t") for line in block.split("\n"))


def _words(lemma: str) -> str:
    return lemma.replace("_", " ")


def _near_ids(wnid: str, known: Iterable[str]) -> list[str]:
    """Return ids that share most of their digits with ``wnid``: few enough to compare them all."""
    match = re.fullmatch(r"[a-z]?(\d{6,10})", wnid.strip().lower())
    if match is None:
        return []
    digits = match[1]
    return [
        candidate
        for candidate in known
        if candidate[1:7] == digits[:6] or candidate[3:] == digits[-6:] or candidate[1:] == digits
    ]
