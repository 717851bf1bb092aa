"""The approximate search for neighbours against the exact one: time, and what it misses.

    python benchmarks/neighbours.py --images 18381,36762,73525,147050,294099

Images are those of `planted.py`'s target, of 5,000 classes with random text vectors. The share that
is found, and the neighbours of an image's own class, are of a sample of the images.
"""

from __future__ import annotations

import argparse
import os
import time

from measuring import commit, in_own_process, machine, number
from planted import DIM, ROWS, image_centres, noisy, unit

SAMPLE = 1000


def measured(n_images: int, n_classes: int, k: int) -> tuple[float, ...]:
    """Seconds of both searches, the share found, and shares of the own class."""
    import numpy as np
    import torch

    from sreclip.refinement.neighbours import neighbour_search

    rng = np.random.default_rng(0)
    centres = image_centres(unit(rng.standard_normal((n_classes, DIM), dtype=np.float32)))["target"]
    labels = torch.arange(n_images) % n_classes
    features = torch.empty(n_images, DIM)
    for rows in torch.arange(n_images).split(ROWS):
        features[rows] = torch.from_numpy(noisy(centres[labels[rows].numpy()], rng))
    sample = torch.from_numpy(rng.permutation(n_images)[:SAMPLE])
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
