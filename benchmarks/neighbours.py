"""The approximate search for neighbours against the exact one: time, and what it misses.

    python benchmarks/neighbours.py --images 18381,36762,73525,147050,294099

Images are those of `planted.py`'s target, of 5,000 classes with random text vectors. The share that
is found, and the neighbours of an image's own class, are of a sample of the images.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

from measuring import commit, in_own_process, machine, number
from planted import DIM, LOOK, NOISE, SHIFT

if TYPE_CHECKING:
    import torch

SAMPLE = 1000


def measured(n_images: int, n_classes: int, k: int) -> tuple[float, ...]:
    """Seconds of both searches, the share found, and shares of the own class."""
    import torch

    from sreclip.refinement.neighbours import neighbour_search

    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n_images) % n_classes
    features = planted_images(labels, n_classes, generator)
    sample = torch.randperm(n_images, generator=generator)[:SAMPLE]
    seconds, found = [], []
    for name in ("exact", "approximate"):
        begun = time.perf_counter()
        numbers, _ = neighbour_search(name)(features, k)  # type: ignore[arg-type]
        seconds.append(time.perf_counter() - begun)
        found.append(numbers[sample])
    exact, approximate = found
    met = (approximate[:, :, None] == exact[:, None]).any(dim=1).float().mean()
    same = [float((labels[f] == labels[sample][:, None]).float().mean()) for f in found]
    return (*seconds, float(met), *same)


def planted_images(
    labels: torch.Tensor, n_classes: int, generator: torch.Generator
) -> torch.Tensor:
    """Unit features: class text, what the class looks like, a shift for all, and noise."""
    import torch
    import torch.nn.functional as F

    def unit(n: int) -> torch.Tensor:
        return F.normalize(torch.randn(n, DIM, generator=generator), dim=1)

    centres = unit(n_classes) + LOOK * unit(n_classes) + SHIFT * unit(1)
    features = torch.empty(len(labels), DIM)
    for rows in torch.arange(len(labels)).split(4096):
        noise = torch.randn(len(rows), DIM, generator=generator) * (NOISE / DIM**0.5)
        features[rows] = F.normalize(centres[labels[rows]] + noise, dim=1)
    return features


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--images",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[18381, 73525],
        help="numbers of images",
    )
    parser.add_argument("--classes", type=int, default=5000)
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    print(f"{machine()}; threads: {arguments.threads}. Commit {commit()}.\n")
    print(
        "| images | exact: s | approximate: s | found | own class, exact | own class, approximate |"
    )
    print("| ---: |" + " ---: |" * 5)
    for n in arguments.images:
        row = in_own_process(measured, n, arguments.classes, arguments.k)
        shares = " | ".join(f"{100 * share:.1f} %" for share in row[2:])
        print(f"| {n:,} | {number(row[0], 1)} | {number(row[1], 1)} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
