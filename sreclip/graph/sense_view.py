"""What class names mean in WordNet, for people: the sense that is taken, and the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sreclip.graph.placement import Placement
from sreclip.graph.senses import SenseMap
from sreclip.graph.wordnet import WordNet, glosses

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

# Other senses of a name in the table; JSON has all that were looked at.
MOST_OTHERS = 5
NOTES = (
    "→: the sense that is taken: that of the task or of graph.senses, or else the one that fits "
    "the names as a list best; close: another fits nearly as well",
    "uses: how often the texts that WordNet's authors tagged use the name in this sense",
)


def to_json(senses: SenseMap, placements: Sequence[Placement]) -> list[dict[str, Any]]:
    """Return all senses of each name, the best first, as plain values."""
    wordnet, defined = WordNet.bundled(), glosses()
    placed = {placement.name: placement for placement in placements}
    doubtful = {name for name, _ in senses.doubtful()}
    found = []
    for name, wnid, scores in zip(senses.names, senses.wnids, senses.scores, strict=True):
        uses = wordnet.sense_counts(name)
        # Of a pinned name the sense it is pinned to has a score, and no other.
        others = {sense: None for sense in wordnet.senses(name) if sense not in scores}
        item: dict[str, Any] = {"name": name, "wnid": wnid, "close": name in doubtful}
        item["senses"] = [
            {
                "wnid": sense,
                "names": list(wordnet.lemmas(sense)),
                "hypernyms": [wordnet.lemmas(up)[0] for up in wordnet.hypernyms(sense)],
                "uses": uses.get(sense, 0),
                "gloss": defined[sense],
                "score": None if score is None else round(score, 4),
            }
            for sense, score in {**scores, **others}.items()
        ]
        if wnid is None:
            near = wordnet.suggest(name)
            item["near"] = [{"name": word, "wnid": wordnet.senses(word)[0]} for word in near]
            item["placement"] = placed[name].line() if name in placed else None
        found.append(item)
    return found


def render(senses: SenseMap, placements: Sequence[Placement]) -> Group:
    """Lay out a table with a block of rows per name, and how to pin another sense."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("Class", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("Sense", no_wrap=True)
    table.add_column("Uses", justify="right", no_wrap=True)
    table.add_column("Meaning")
    items = to_json(senses, placements)
    for item in items:
        for at, (mark, wnid, uses, meaning) in enumerate(_rows(item)):
            name = Text(item["name"] if at == 0 else "", style="bold")
            table.add_row(name, mark, wnid, uses, meaning)
        table.add_section()
    return Group(table, Text("\n".join([*NOTES, _pin_note(items)]), style="italic dim"))


def _rows(item: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Text]]:
    from rich.text import Text

    for sense in item["senses"][: 1 + MOST_OTHERS]:
        taken = sense["wnid"] == item["wnid"]
        meaning = Text(", ".join(sense["names"][:3]), style="bold" if taken else "")
        if sense["hypernyms"]:
            meaning.append(f" (a kind of {', '.join(sense['hypernyms'])})", style="not bold dim")
        meaning.append(f": {sense['gloss']}", style="not bold")
        yield "→" if taken else "", sense["wnid"], str(sense["uses"]), meaning
    more = len(item["senses"]) - 1 - MOST_OTHERS
    if more > 0:
        yield "", "", "", Text(f"and {more} more (--json)", style="dim")
    if item["close"]:
        yield "", "close", "", Text("the first two fit nearly as well", style="dim")
    if item["wnid"] is None:
        near = ", ".join(f"{other['name']} ({other['wnid']})" for other in item["near"])
        yield "", "none", "", Text(f"not in WordNet{near and f'; near: {near}'}")
        if item["placement"]:
            placed = f"with graph.allow_unmapped {item['placement'].partition(': ')[2]}"
            yield "", "", "", Text(placed)


def _pin_note(items: Sequence[Mapping[str, Any]]) -> str:
    """Say how to pin a sense, by an example out of the table."""
    if not any(item["senses"] for item in items):
        return (
            "WordNet has none of these; pin the sense of another word in graph.senses, or let such "
            "a class be placed by its text: graph.allow_unmapped"
        )
    name, other = "NAME", "WNID"
    for item in items:
        others = [sense["wnid"] for sense in (*item["senses"][1:], *item.get("near", ()))]
        if others:
            name, other = item["name"], others[0]
            break
    return f"to pin another sense, in params.yaml: graph: {{senses: {{{name}: {other}}}}}"
