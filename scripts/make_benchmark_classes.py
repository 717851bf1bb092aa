"""Write the class tables of I2AwA and I2WebV from a folder with their facts as JSON.

    python scripts/make_benchmark_classes.py FACTS

FACTS holds ``i2awa.json`` (classes with names, WordNet ids, folders and picture counts, from the
lists of UODTN, Zhuo et al., CVPR 2019: data/WEB_3D3_2.txt and data/new_AwA2.txt) and
``i2webv.json`` (the WordNet ids of 1,000 known and 4,000 unknown classes, from its
GCN/materials/AWA2/web_wnids.json). I2WebV's classes have no names of their own: each gets that of
its synset, see `synset_names`.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from sreclip.data.benchmarks import RESOURCES
from sreclip.graph.wordnet import WordNet


def synset_names(wnids: Sequence[str], wordnet: WordNet) -> list[str]:
    """Name each synset by its first lemma; where several share it, by its hypernym as well.

    Where that is not enough either, another lemma tells them apart, and at last the id.
    """
    first = {wnid: wordnet.lemmas(wnid)[0] for wnid in wnids}
    above = {wnid: wordnet.lemmas(wordnet.hypernyms(wnid)[0])[0] for wnid in wnids}
    candidates = {
        wnid: [
            name,
            f"{name} ({above[wnid]})",
            *(f"{name} ({lemma})" for lemma in wordnet.lemmas(wnid)[1:]),
            f"{name} ({above[wnid]}, {wnid})",
        ]
        for wnid, name in first.items()
    }
    names: dict[str, str] = {}
    while open_ones := [wnid for wnid in wnids if wnid not in names]:
        counts = Counter(candidates[wnid][0].casefold() for wnid in open_ones)
        taken = {name.casefold() for name in names.values()}
        for wnid in open_ones:
            name = candidates[wnid][0].casefold()
            if counts[name] == 1 and name not in taken:
                names[wnid] = candidates[wnid][0]
            else:
                candidates[wnid].pop(0)
    return [names[wnid] for wnid in wnids]


def write(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write one table of `RESOURCES`."""
    with (RESOURCES / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main(facts: Path) -> None:
    """Write both tables."""
    i2awa = json.loads((facts / "i2awa.json").read_text(encoding="utf-8"))
    write(
        "i2awa",
        ("name", "wnid", "folder", "known", "source", "target"),
        (
            (
                entry["name"],
                entry["wnid"],
                entry["target_folder"],
                "yes" if entry["known"] else "no",
                entry["source_images"],
                entry["target_images"],
            )
            for entry in i2awa["classes"]
        ),
    )
    i2webv = json.loads((facts / "i2webv.json").read_text(encoding="utf-8"))
    wnids = [*i2webv["known"], *i2webv["unknown"]]
    known = set(i2webv["known"])
    names = synset_names(wnids, WordNet.bundled())
    write(
        "i2webv",
        ("name", "prompt_name", "wnid", "folder", "known"),
        (
            (
                name,
                name.replace(f", {wnid})", ")"),
                wnid,
                wnid,
                "yes" if wnid in known else "no",
            )
            for name, wnid in zip(names, wnids, strict=True)
        ),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
