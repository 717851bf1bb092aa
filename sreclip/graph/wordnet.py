"""WordNet 3.0 nouns: synsets, lemmas, hypernyms, senses of a name.

The bundled extract (``resources/wordnet_nouns.tsv.gz``, made by ``scripts/make_wordnet_extract.py``
from Debian's ``wordnet-base``) holds no glosses. A synset is named as in ImageNet: ``n`` and the
eight-digit offset in WordNet 3.0's ``data.noun``.

Source: G. A. Miller, "WordNet: a lexical database for English", CACM 38(11), 1995; the plural
rules are those of WordNet's ``morphy`` (manual page morphy(7WN)).
"""

from __future__ import annotations

import difflib
import gzip
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib.resources import files

from sreclip.errors import GraphError

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
    """

    def __init__(
        self,
        lemmas: Mapping[str, str],
        hypernyms: Mapping[str, str],
        sense_order: Mapping[str, str] | None = None,
        exceptions: Mapping[str, str] | None = None,
    ) -> None:
        self._lemmas = lemmas
        self._hypernyms = hypernyms
        self._sense_order = sense_order or {}
        self._exceptions = exceptions or {}
        self._depths: dict[str, int] = {}

    @staticmethod
    @cache
    def bundled() -> WordNet:
        """The extract that ships with the package, read once a process.

        Raises
        ------
        GraphError
            The file is missing or is not such an extract.
        """
        resource = files("sreclip.graph") / "resources" / "wordnet_nouns.tsv.gz"
        try:
            text = gzip.decompress(resource.read_bytes()).decode("utf-8")
            return WordNet.from_extract(text)
        except (OSError, EOFError, ValueError) as error:
            raise GraphError(
                f"the bundled WordNet extract {resource} cannot be read ({error})",
                "reinstall sreclip, or make it again with scripts/make_wordnet_extract.py",
            ) from error

    @classmethod
    def from_extract(cls, text: str) -> WordNet:
        """Parse the text form that ``scripts/make_wordnet_extract.py`` describes.

        Raises
        ------
        ValueError
            The text has another form.
        """
        header, _, body = text.partition("\n")
        if not header.endswith("format 1. Licence: WORDNET-LICENSE."):
            raise ValueError("unknown header")
        synsets, senses, exceptions = body.rstrip("\n").split("\n\n")
        lemmas: dict[str, str] = {}
        hypernyms: dict[str, str] = {}
        for line in synsets.split("\n"):
            wnid, lemmas[wnid], hypernyms[wnid] = line.split("\t")
        return cls(lemmas, hypernyms, _pairs(senses), _pairs(exceptions))

    def __contains__(self, wnid: object) -> bool:
        return wnid in self._lemmas

    def __len__(self) -> int:
        return len(self._lemmas)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lemmas)

    def lemmas(self, wnid: str) -> tuple[str, ...]:
        """Names of a synset, the usual one first, with spaces between words."""
        return tuple(_words(lemma) for lemma in self._lemmas[self.require(wnid)].split())

    def hypernyms(self, wnid: str) -> tuple[str, ...]:
        """Direct hypernyms of a synset (for an instance: what it is an instance of)."""
        return tuple(self._hypernyms[self.require(wnid)].split())

    def require(self, wnid: str) -> str:
        """Give ``wnid`` back.

        Raises
        ------
        GraphError
            It is no noun synset of WordNet 3.0; the hint names the nearest id or the id of the
            name that was given instead.
        """
        if wnid in self._lemmas:
            return wnid
        near = difflib.get_close_matches(str(wnid), _near_ids(str(wnid), self._lemmas), n=1)
        near = near or list(self.senses(str(wnid))[:1])
        hint = f"the nearest is {near[0]} ({self.lemmas(near[0])[0]})" if near else ""
        form = "an id is n and eight digits, such as n02084071 (dog)"
        raise GraphError(f"{wnid!r} is not a noun synset of WordNet 3.0", hint or form)

    def ancestors(self, wnid: str) -> dict[str, int]:
        """Ancestors by distance, the synset itself included.

        Returns
        -------
        dict of str to int
            Synset to the length (edges) of the shortest way up to it; nearest first.
        """
        distances = {self.require(wnid): 0}
        # The dictionary grows while it is read in order of insertion: a breadth-first search.
        queue = [wnid]
        for node in queue:
            for parent in self._hypernyms[node].split():
                if parent not in distances:
                    distances[parent] = distances[node] + 1
                    queue.append(parent)
        return distances

    def depth(self, wnid: str) -> int:
        """Edges on the *longest* way from the synset up to a root; 0 for a root.

        The longest, so that a shortcut parent ("domestic animal" of "dog") makes no synset
        more general than its other parents do.
        """
        known = self._depths
        if self.require(wnid) not in known:
            for node in reversed(self._topological(wnid)):
                parents = self._hypernyms[node].split()
                known[node] = 1 + max((known[parent] for parent in parents), default=-1)
        return known[wnid]

    def _topological(self, wnid: str) -> list[str]:
        """The synset and its ancestors, each before its own hypernyms."""
        order: list[str] = []
        seen: set[str] = set()

        def visit(node: str) -> None:
            seen.add(node)
            for parent in self._hypernyms[node].split():
                if parent not in seen:
                    visit(parent)
            order.append(node)

        visit(wnid)
        return order[::-1]

    @cached_property
    def _descendant_counts(self) -> dict[str, int]:
        parents = {wnid: ups.split() for wnid, ups in self._hypernyms.items()}
        counts = dict.fromkeys(parents, 0)
        for above in parents.values():
            seen: set[str] = set()
            stack = list(above)
            while stack:
                node = stack.pop()
                if node not in seen:
                    seen.add(node)
                    counts[node] += 1
                    stack += parents[node]
        return counts

    def n_descendants(self, wnid: str) -> int:
        """Distinct hyponyms at any distance, instances counted, the synset itself not."""
        return self._descendant_counts[self.require(wnid)]

    def information_content(self, wnid: str) -> float:
        """Intrinsic information content ``1 - ln(hypo(s) + 1) / ln(N)``, in [0, 1].

        ``hypo`` counts distinct hyponyms at any distance and ``N`` all synsets: 1 for a leaf,
        about 0 for the root.

        Source: Seco, Veale, Hayes, "An intrinsic information content metric for semantic
        similarity in WordNet", ECAI 2004.
        """
        from math import log

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
        """Lemmas by their letters alone: finds ``teddybear``, ``TV set`` or ``St Bernard``."""
        letters: dict[str, str] = {}
        for lemma in self._senses_of_lemma:
            letters.setdefault(_PUNCTUATION.sub("", lemma), lemma)
        return letters

    def senses(self, name: str) -> tuple[str, ...]:
        """Synsets that a name can mean, most frequent first; empty when WordNet has none.

        Case does not matter, nor whether words are joined by a space, an underscore, a plus sign
        or a hyphen. A plural is tried as written and then as its singulars. A compound that
        WordNet lacks is not cut down to its head noun: see ``suggest``.
        """
        key = _SEPARATORS.sub("_", name.strip().lower())
        found: dict[str, None] = {}
        for form in self._singulars(key):
            for spelling in (form, form.replace("-", "_"), form.replace("_", "-")):
                found.update(dict.fromkeys(self._senses_of_lemma.get(spelling, ())))
        if not found:
            for form in self._singulars(key):
                lemma = self._lemma_of_letters.get(_PUNCTUATION.sub("", form))
                found.update(dict.fromkeys(self._senses_of_lemma.get(lemma or "", ())))
        return tuple(found)

    def _singulars(self, key: str) -> list[str]:
        """The form itself, then what it can be the plural of, by WordNet's own rules."""
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
        """Names that WordNet knows and that look like ``name``.

        The longest endings and beginnings of a compound come first (``golden retriever dog``:
        ``dog``, ``golden retriever``), then close spellings.
        """
        words = _SEPARATORS.sub(" ", name.strip().lower()).replace("-", " ").split()
        endings = [" ".join(words[i:]) for i in range(1, len(words))]
        beginnings = [" ".join(words[:i]) for i in range(len(words) - 1, 0, -1)]
        parts = [
            next((part for part in several if self.senses(part)), "")
            for several in (endings, beginnings)
        ]
        key = "_".join(words)
        pool = [
            lemma
            for lemma in self._senses_of_lemma
            if lemma[:1] == key[:1] and abs(len(lemma) - len(key)) <= 2
        ]
        close = difflib.get_close_matches(key, pool, n=n, cutoff=0.75)
        suggestions = dict.fromkeys([*filter(None, parts), *map(_words, close)])
        return list(suggestions)[:n]


def _pairs(block: str) -> dict[str, str]:
    return dict(line.split("\t") for line in block.split("\n"))


def _words(lemma: str) -> str:
    return lemma.replace("_", " ")


def _near_ids(wnid: str, known: Iterable[str]) -> list[str]:
    """Ids that share most of their digits with ``wnid``: few enough to compare one by one."""
    if not re.fullmatch(r"[a-z]?\d{6,10}", wnid.strip().lower()):
        return []
    digits = wnid.strip().lower().lstrip("abcdefghijklmnopqrstuvwxyz")
    return [
        candidate
        for candidate in known
        if candidate[1:7] == digits[:6] or candidate[3:] == digits[-6:] or candidate[1:] == digits
    ]
