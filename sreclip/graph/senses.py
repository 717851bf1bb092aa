"""Which WordNet sense each class name means, judged by the class list as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sreclip.errors import GraphError
from sreclip.graph.relation import wordnet_similarity
from sreclip.graph.wordnet import WordNet

# Rare senses beyond this rank are noise (a common noun can have thirty).
MAX_SENSES = 12
# Closeness (in [0, 1]) that makes up for half the uses in tagged texts, and for half the rank in
# WordNet's order of frequency, in a long list.
COUNT_WEIGHT = 0.03
RANK_WEIGHT = 0.02
# What a proper noun must make up for: a class "crane" is not Stephen Crane.
PROPER_NOUN = 0.1
# Frequency weighs 1 + FEW / n_classes times: a list of few classes gives little evidence.
FEW = 2.0
# The nearest classes count more than the whole list: a list may mix animals and devices, and then
# only the near ones tell which "mouse" is meant.
NEAREST = 3
# Temperature of the likelihoods while the choice is open.
TEMPERATURE = 0.05
MAX_ROUNDS = 50
# A choice by a smaller margin is worth a look.
CLOSE_MARGIN = 0.05

TextEncoder = Callable[[list[str]], np.ndarray]


@dataclass(frozen=True)
class SenseMap:
    """Class names and their senses, in class order."""

    names: tuple[str, ...]
    # Chosen WordNet ids; None for a class that is not in WordNet.
    wnids: tuple[str | None, ...]
    # Score of the chosen sense minus that of the next best; infinite without another sense.
    margins: tuple[float, ...]
    # Scores of all senses that were looked at, by WordNet id, the best first.
    scores: tuple[Mapping[str, float], ...] = ()

    @property
    def unmapped(self) -> tuple[str, ...]:
        """Names without a sense."""
        return tuple(n for n, wnid in zip(self.names, self.wnids, strict=True) if wnid is None)

    def doubtful(self) -> list[tuple[str, str]]:
        """Return names and senses of the choices by less than `CLOSE_MARGIN`."""
        return [
            (name, wnid)
            for name, wnid, margin in zip(self.names, self.wnids, self.margins, strict=True)
            if wnid is not None and margin < CLOSE_MARGIN
        ]


def choose_senses(
    names: Sequence[str],
    wordnet: WordNet | None = None,
    pinned: Mapping[str, str] | None = None,
    encode_text: TextEncoder | None = None,
    *,
    text_weight: float = 0.5,
    allow_unmapped: bool = False,
    allow_shared: bool = False,
) -> SenseMap:
    """Choose for each class name the sense that fits the rest of the class list best.

    A sense s of class c scores

        (1 - text_weight) * closeness(s) + text_weight * text(s) + (1 + 2 / n_classes) * usual(s)

    - closeness: Lin similarity (intrinsic information content) to the other classes' senses,
      weighted by their likelihoods; the mean of the average over all other classes and the
      average over the three nearest. Likelihoods start from the ranks and are the softmax of
      the scores; the two are iterated to a fixed point (mean-field annealing of a pairwise
      model).
    - text: half of the cosine between "lemmas, hypernym lemmas" and the class name plus half of
      that with the class list's mean vector, both centred over all candidate senses.
    - usual: 0.03 log2((uses(s) + 1) / (uses of the most frequent sense + 1)) - 0.02 log2(rank(s)),
      by the counts in the texts that WordNet's authors tagged and by its order of the senses; for a
      proper noun 0.1 less. It weighs three times as much where a name stands alone, since then
      little else is known.

    Parameters
    ----------
    names : sequence of str, (n_classes,)
        Class names, all different.
    wordnet : WordNet, optional
        The bundled one by default.
    pinned : mapping of str to str, optional
        WordNet ids of some names; no other class gets these senses if it has another one.
    encode_text : callable, optional
        List of n texts to (n, dim) vectors; without it only the hierarchy and the ranks decide.
    text_weight : float
        Weight of the text term, in [0, 1]; 0 without an encoder.
    allow_unmapped : bool
        Accept names without a noun sense.
    allow_shared : bool
        Accept two names with one sense.

    Raises
    ------
    GraphError
        Names that are not in WordNet (all are listed, with suggestions), a pin for no class or
        with an unknown id, or two classes with one sense.
    """
    wordnet = wordnet or WordNet.bundled()
    pinned = dict(pinned or {})
    _check_pins(names, pinned, wordnet)
    candidates = _candidates(names, wordnet, pinned)
    unmapped = [name for name, senses in zip(names, candidates, strict=True) if not senses]
    if unmapped and not allow_unmapped:
        raise _unmapped_error(unmapped, wordnet)
    scores = _scores(names, candidates, wordnet, encode_text, text_weight)
    wnids: list[str | None] = []
    margins, ranked = [], []
    for senses, score in zip(candidates, scores, strict=True):
        # A stable sort: of equal scores the more frequent sense wins.
        order = np.argsort(-score, kind="stable")
        wnids.append(senses[order[0]] if senses else None)
        margins.append(float(score[order[0]] - score[order[1]]) if len(senses) > 1 else np.inf)
        ranked.append({senses[at]: float(score[at]) for at in order})
    if not allow_shared:
        _refuse_shared(names, wnids, wordnet)
    return SenseMap(tuple(names), tuple(wnids), tuple(margins), tuple(ranked))


def _check_pins(names: Sequence[str], pinned: Mapping[str, str], wordnet: WordNet) -> None:
    for name, wnid in pinned.items():
        if name not in names:
            raise GraphError(
                f"graph.senses pins {name!r}, which is not a class of this task",
                f"the classes are {', '.join(names)}" if len(names) <= 60 else "",
            )
        try:
            wordnet.require(wnid)
        except GraphError as error:
            raise GraphError(f"graph.senses, {name!r}: {error.message}", error.hint) from error


def _candidates(
    names: Sequence[str], wordnet: WordNet, pinned: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Return the senses of each name, most frequent first, without those pinned elsewhere."""
    taken = set(pinned.values())
    candidates = []
    for name in names:
        senses = (pinned[name],) if name in pinned else wordnet.senses(name)[:MAX_SENSES]
        free = tuple(sense for sense in senses if sense not in taken)
        candidates.append(free or senses)
    return candidates


def _scores(
    names: Sequence[str],
    candidates: Sequence[tuple[str, ...]],
    wordnet: WordNet,
    encode_text: TextEncoder | None,
    text_weight: float,
) -> list[np.ndarray]:
    """Return the score of every candidate sense, one array per class."""
    owner = np.repeat(np.arange(len(names)), [len(senses) for senses in candidates])
    flat = [sense for senses in candidates for sense in senses]
    usual = [_usual(name, own, wordnet) for name, own in zip(names, candidates, strict=True)]
    fixed = (1.0 + FEW / max(len(names), 1)) * np.concatenate([np.empty(0), *usual])
    graph_weight = 1.0
    if encode_text is not None and text_weight > 0 and flat:
        fixed += text_weight * _text_scores(names, flat, owner, wordnet, encode_text)
        graph_weight -= text_weight
    score = fixed
    open_rows = np.flatnonzero(np.bincount(owner, minlength=len(names))[owner] > 1)
    if len(open_rows) and len(set(owner.tolist())) > 1 and graph_weight > 0:
        closeness = _closeness_rule(flat, owner, open_rows, wordnet)
        likelihood = _softmax_by_class(fixed, owner)
        for _ in range(MAX_ROUNDS):
            score = fixed.copy()
            score[open_rows] += graph_weight * closeness(likelihood)
            # Half a step at a time: full steps can oscillate between two states.
            step = 0.5 * (_softmax_by_class(score, owner) - likelihood)
            likelihood = likelihood + step
            if np.abs(step).max() < 1e-5:
                break
    return [score[owner == c] for c in range(len(names))]


def _usual(name: str, senses: Sequence[str], wordnet: WordNet) -> np.ndarray:
    """Return the frequency term of a name's candidate senses, at most 0."""
    counts = wordnet.sense_counts(name)
    uses = np.array([counts.get(sense, 0) for sense in senses], dtype=np.float64) + 1.0
    ranks = np.arange(1, len(senses) + 1)
    proper = np.array([wordnet.is_proper_noun(name, sense) for sense in senses], dtype=bool)
    frequency = COUNT_WEIGHT * np.log2(uses / uses.max(initial=1.0)) - RANK_WEIGHT * np.log2(ranks)
    return np.asarray(frequency - PROPER_NOUN * proper)


def _closeness_rule(
    flat: list[str], owner: np.ndarray, open_rows: np.ndarray, wordnet: WordNet
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from likelihoods, (n_candidates,), to expected closeness, (n_open,).

    ``flat`` are the candidate senses, class by class, ``owner`` is the class of each, and
    ``open_rows``, (n_open,), are the candidates of classes with several.
    """
    distinct, place = np.unique(np.array(flat), return_inverse=True)
    similarity = wordnet_similarity(distinct.tolist(), "lin", wordnet)[
        np.ix_(place[open_rows], place)
    ]
    classes, starts = np.unique(owner, return_index=True)
    own = owner[open_rows][:, None] == classes
    n_others = len(classes) - 1

    def closeness(likelihood: np.ndarray) -> np.ndarray:
        to_class = np.add.reduceat(similarity * likelihood, starts, axis=1)
        to_class[own] = 0.0
        nearest = np.sort(to_class, axis=1)[:, -min(NEAREST, n_others) :]
        return 0.5 * (to_class.sum(axis=1) / n_others + nearest.mean(axis=1))

    return closeness


def _softmax_by_class(score: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Return the likelihood of each candidate among those of its class."""
    top = np.full(owner.max() + 1, -np.inf)
    np.maximum.at(top, owner, score)
    exp = np.exp((score - top[owner]) / TEMPERATURE)
    return exp / np.bincount(owner, weights=exp)[owner]


def _text_scores(
    names: Sequence[str],
    flat: list[str],
    owner: np.ndarray,
    wordnet: WordNet,
    encode_text: TextEncoder,
) -> np.ndarray:
    """Return the text term of every candidate, (n_candidates,)."""
    texts = []
    for sense in flat:
        hypernyms = [wordnet.lemmas(up)[0] for up in wordnet.hypernyms(sense)]
        texts.append(", ".join(dict.fromkeys([*wordnet.lemmas(sense)[:3], *hypernyms])))
    sense_vectors = _unit(encode_text(texts))
    name_vectors = _unit(encode_text(list(names)))
    # Text vectors share a large common part; without it the cosines spread.
    centre = sense_vectors.mean(axis=0)
    centred = _unit(sense_vectors - centre)
    to_name = (centred * _unit(name_vectors - centre)[owner]).sum(axis=1)
    to_list = centred @ _unit(name_vectors.mean(axis=0, keepdims=True) - centre)[0]
    return 0.5 * (to_name + to_list)


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _unmapped_error(unmapped: list[str], wordnet: WordNet) -> GraphError:
    lines = []
    for name in unmapped:
        near = wordnet.suggest(name)
        ids = [f"{word} ({wordnet.senses(word)[0]})" for word in near]
        lines.append(f"  {name}" + (f": near {', '.join(ids)}" if ids else ""))
    return GraphError(
        "WordNet has no noun for these class names:\n" + "\n".join(lines),
        "rename the class, pin a sense (graph.senses: {name: n00000000}), or set "
        "graph.allow_unmapped: true and the class joins the graph by text similarity",
    )


def _refuse_shared(names: Sequence[str], wnids: Sequence[str | None], wordnet: WordNet) -> None:
    first: dict[str, str] = {}
    for name, wnid in zip(names, wnids, strict=True):
        if wnid is not None and first.setdefault(wnid, name) != name:
            others = dict.fromkeys(
                wordnet.label(sense)
                for class_name in (first[wnid], name)
                for sense in wordnet.senses(class_name)[:6]
                if sense != wnid
            )
            also = f"; the names can also mean {'; '.join(others)}" if others else ""
            raise GraphError(
                f"classes {first[wnid]!r} and {name!r} both mean {wordnet.label(wnid)}",
                "merge the two, or pin another sense for one (graph.senses: {name: wnid})" + also,
            )
