"""How large is the page with the classes of a published task and photographs?

    python benchmarks/page.py --photos my-photos --task i2awa --per-class 750

Results are made up, as the tests of the page make them; the photographs (any JPEG files) stand in
for the task's images, which are not here to be had.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

from measuring import commit, machine, show

sys.path.insert(0, str(Path(__file__).parents[1]))

from sreclip.data.benchmarks.classes import read_benchmark_classes
from sreclip.report.page import write_page
from tests.report import conftest as made_up


def main() -> None:
    """Write the page of one task and print its size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder with JPEG files")
    parser.add_argument("--task", choices=["i2awa", "i2webv"], default="i2awa")
    parser.add_argument("--per-class", type=int, default=750, help="images of each class")
    parser.add_argument("--out", type=Path, help="where the table goes")
    given = parser.parse_args()
    photos = [path.read_bytes() for path in sorted(given.photos.rglob("*.jpg"))[:400]]
    if not photos:
        parser.error(f"{given.photos} holds no .jpg file")
    turn = itertools.cycle(photos)

    def photograph(path: Path, *_: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(next(turn))

    made_up._draw = photograph
    classes = read_benchmark_classes(given.task)
    groups = [f"group {number}" for number in range(max(4, len(classes) // 20))]
    with tempfile.TemporaryDirectory() as folder:
        plan = made_up.write_results(
            Path(folder),
            classes={each.entry.name: groups[at % len(groups)] for at, each in enumerate(classes)},
            unknown=tuple(each.entry.name for each in classes if not each.known),
            per_class=given.per_class,
        )
        begun = time.perf_counter()
        write_page(plan)
        seconds = time.perf_counter() - begun
        size = plan.page["index.html"].stat().st_size
    show(
        f"{machine()}; {commit()}\n\n"
        "| task | classes | target images | page, MB | s |\n| --- | ---: | ---: | ---: | ---: |\n"
        f"| {given.task} | {len(classes):,} | {len(classes) * given.per_class:,} "
        f"| {size / 1e6:.1f} | {seconds:.0f} |\n",
        given.out,
    )


if __name__ == "__main__":
    main()
