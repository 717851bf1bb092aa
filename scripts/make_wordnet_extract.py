"""Make the WordNet noun extract that ``sreclip.graph`` ships.

Reads ``data.noun``, ``index.noun``, ``cntlist.rev`` and ``noun.exc`` of WordNet 3.0 (Debian:
package ``wordnet-base``) and writes ``wordnet_nouns.tsv.gz`` and ``wordnet_glosses.tsv.gz`` into
``sreclip/graph/resources`` and, where the package's copyright file is at hand, ``WORDNET-LICENSE``
beside them. Same input, same bytes.

The extract is UTF-8 text, gzip-compressed: a header line and three blocks, an empty line between
two blocks, fields separated by tabs and items within a field by spaces:

1. ``wnid  lemmas  hypernyms``, a line a synset in the order of ``data.noun``; a wnid is ``n`` and
   the eight-digit offset; hypernyms are the ``@`` and ``@i`` pointers in file order;
2. ``lemma  wnids  counts``, a line a lower-case lemma that has several senses or was counted, most
   frequent sense first; how often the texts that WordNet's authors tagged use it in each sense;
3. ``plural  singulars``, the irregular plurals.

The glosses are a header line and lines ``wnid  definition``, without examples.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator
from pathlib import Path

from sreclip.errors import GraphError
from sreclip.files import atomic_path, write_text

HEADER = "# WordNet 3.0 nouns, extract, format 2. Licence: WORDNET-LICENSE."
GLOSSES_HEADER = "# WordNet 3.0 nouns, definitions. Licence: WORDNET-LICENSE."
RESOURCES = Path(__file__).resolve().parent.parent / "sreclip" / "graph" / "resources"
DEBIAN_FOLDER = Path("/usr/share/wordnet")
HYPERNYM_POINTERS = ("@", "@i")


def read_lines(path: Path) -> list[str]:
    """Lines of a WordNet file without its licence header.

    Raises
    ------
    GraphError
        The file is missing.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise GraphError(
            f"{path} is missing", "apt-get install wordnet-base, or give the folder that holds it"
        ) from error
    return [line for line in text.splitlines() if line and not line.startswith("  ")]


def synset_rows(data_lines: list[str]) -> Iterator[str]:
    """One row a synset of ``data.noun`` (format: manual page wndb(5WN))."""
    for line in data_lines:
        fields = line.partition(" | ")[0].split()
        n_words = int(fields[3], 16)
        words = fields[4 : 4 + 2 * n_words : 2]
        pointers = fields[5 + 2 * n_words :]
        hypernyms = [
            f"n{pointers[i + 1]}"
            for i in range(0, 4 * int(fields[4 + 2 * n_words]), 4)
            if pointers[i] in HYPERNYM_POINTERS and pointers[i + 2] == "n"
        ]
        yield f"n{fields[0]}\t{' '.join(words)}\t{' '.join(hypernyms)}"


def gloss_rows(data_lines: list[str]) -> Iterator[str]:
    """One row a synset of ``data.noun``: its definition, which ends where an example begins."""
    for line in data_lines:
        synset, _, gloss = line.partition(" | ")
        definition = gloss.partition('; "')[0].strip().rstrip(";")
        yield f"n{synset.split()[0]}\t{definition}"


def sense_counts(count_lines: list[str]) -> dict[tuple[str, int], int]:
    """Counts in ``cntlist.rev`` of nouns by lemma and number of the sense (cntlist(5WN))."""
    counts = {}
    for line in count_lines:
        key, number, count = line.split()
        lemma, _, rest = key.partition("%")
        if rest.startswith("1:"):
            counts[lemma, int(number)] = int(count)
    return counts


def sense_rows(index_lines: list[str], counts: dict[tuple[str, int], int]) -> Iterator[str]:
    """One row a lemma of ``index.noun`` that has more than one sense or was counted."""
    for line in index_lines:
        fields = line.split()
        n_senses = int(fields[2])
        uses = [counts.get((fields[0], number), 0) for number in range(1, n_senses + 1)]
        if n_senses > 1 or any(uses):
            wnids = " ".join("n" + offset for offset in fields[-n_senses:])
            yield f"{fields[0]}\t{wnids}\t{' '.join(map(str, uses))}"


def exception_rows(exception_lines: list[str]) -> Iterator[str]:
    """One row an irregular plural of ``noun.exc``."""
    for line in exception_lines:
        plural, *singulars = line.split()
        yield f"{plural}\t{' '.join(singulars)}"


def make_extract(folder: Path) -> bytes:
    """The compressed extract of the WordNet files in ``folder``."""
    blocks = (
        synset_rows(read_lines(folder / "data.noun")),
        sense_rows(
            read_lines(folder / "index.noun"), sense_counts(read_lines(folder / "cntlist.rev"))
        ),
        exception_rows(read_lines(folder / "noun.exc")),
    )
    return _compressed(HEADER + "\n" + "\n\n".join("\n".join(rows) for rows in blocks) + "\n")


def make_glosses(folder: Path) -> bytes:
    """The compressed definitions of the nouns in ``folder``."""
    return _compressed("\n".join([GLOSSES_HEADER, *gloss_rows(read_lines(folder / "data.noun"))]))


def _compressed(text: str) -> bytes:
    return gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0)


def make_licence(copyright_text: str) -> str:
    """The WordNet licence alone, out of Debian's machine-readable copyright file."""
    lines = copyright_text.splitlines()
    start = lines.index("License: WordNet3.0") + 1
    body = []
    for line in lines[start:]:
        if not line.startswith(" "):
            break
        body.append("" if line.strip() == "." else line.strip())
    return "WordNet Release 3.0\n\n" + "\n".join(body) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Make the WordNet noun extract.")
    parser.add_argument("folder", nargs="?", type=Path, default=DEBIAN_FOLDER)
    parser.add_argument("--out", type=Path, default=RESOURCES)
    parser.add_argument("--copyright", type=Path, help="Debian's copyright file of the package")
    arguments = parser.parse_args()
    made = {
        "wordnet_nouns.tsv.gz": make_extract(arguments.folder),
        "wordnet_glosses.tsv.gz": make_glosses(arguments.folder),
    }
    for name, content in made.items():
        with atomic_path(arguments.out / name) as temporary:
            temporary.write_bytes(content)
        print(f"{arguments.out / name}: {len(content)} bytes")
    notice = arguments.copyright or arguments.folder.parent / "doc" / "wordnet-base" / "copyright"
    if notice.exists():
        text = make_licence(notice.read_text(encoding="utf-8"))
        write_text(arguments.out / "WORDNET-LICENSE", text)


if __name__ == "__main__":
    try:
        main()
    except GraphError as error:
        raise SystemExit(f"error: {error}") from None
