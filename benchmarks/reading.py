"""Reading features: shards in order, in shuffled chunks and by rows, beside plain reads.

    python benchmarks/reading.py                       # 1,300,000 x 512, as I2WebV's source domain
    python benchmarks/reading.py --rows 40000 --out reading.md

The files are made first, by sreclip's own writer. All reads are of a warm page cache, unless
`--cold` drops it before each (root, Linux). `docs/performance.md` says what the lines mean.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
from measuring import commit, machine, number, show

from sreclip.features.header import Provenance
from sreclip.features.images import ImageFeatures, open_images, write_images

CHUNK = 4096
RANDOM_ROWS = 20 * CHUNK
PROVENANCE = Provenance("made-up", "0" * 64, "none", "none", "float32", "float16", 100.0, 512)


def make_files(folder: Path, rows: int) -> list[Path]:
    """Write ``(rows, 512)`` unit rows: shards, a plain data set, raw bytes; return the shards."""
    generator = np.random.default_rng(0)
    raw, shards = folder / "raw.bin", []
    with raw.open("wb") as handle, h5py.File(folder / "plain.h5", "w") as file:
        plain = file.create_dataset("features", (rows, PROVENANCE.dim), np.float16)
        for start in range(0, rows, CHUNK):
            row_id = np.arange(start, min(start + CHUNK, rows))
            block = generator.standard_normal((len(row_id), PROVENANCE.dim), dtype=np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            half = block.astype(np.float16)
            shards.append(folder / f"{start}.h5")
            key = f"rows-{start}"
            write_images(shards[-1], PROVENANCE, row_id, half, [], rows_key=key, domain="source")
            plain[start : start + len(half)] = half
            handle.write(half.tobytes())
    return shards


def drop_page_cache() -> None:
    """Make the next read come from the disk."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def per_second(read: Callable[[], int], rounds: int, cold: bool) -> float:
    """Rows per second, median."""
    speeds = []
    for _ in range(rounds):
        if cold:
            drop_page_cache()
        begun = time.perf_counter()
        rows = read()
        speeds.append(rows / (time.perf_counter() - begun))
    return statistics.median(speeds)


def read_plain(path: Path) -> int:
    """Read a contiguous data set without checksums in order, a chunk at a time."""
    with h5py.File(path) as file:
        rows = file["features"]
        return sum(len(rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK))


def read_plain_rows(path: Path, positions: np.ndarray) -> int:
    """Read scattered rows of a contiguous data set, a chunk's worth at a time."""
    with h5py.File(path) as file:
        rows = file["features"]
        return sum(len(rows[np.sort(part)]) for part in portions(positions))


def read_raw(path: Path) -> int:
    """Read the bytes in order, a chunk at a time, always to the same place."""
    rows = 0
    buffer = np.empty((CHUNK, PROVENANCE.dim), dtype=np.float16)
    with path.open("rb", buffering=0) as handle:
        while size := handle.readinto(buffer.data):
            rows += size // (PROVENANCE.dim * 2)
    return rows


def read_chunks(images: ImageFeatures, order: np.ndarray) -> int:
    """Read chunks in this order."""
    return sum(len(images.features[start : start + CHUNK]) for start in order.tolist())


def read_rows(images: ImageFeatures, positions: np.ndarray) -> int:
    """Read scattered rows, a chunk's worth at a time."""
    return sum(len(images.features[part]) for part in portions(positions))


def portions(positions: np.ndarray) -> list[np.ndarray]:
    """Cut positions into chunks."""
    return np.split(positions, range(CHUNK, len(positions), CHUNK))


def measure(rows: int, rounds: int, cold: bool, folder: Path) -> Iterator[tuple[str, float, float]]:
    """Name each way to read, with its rows per second and those of plain HDF5."""

    def speed(read: Callable[[], int]) -> float:
        return per_second(read, rounds, cold)

    shards = make_files(folder, rows)
    generator = np.random.default_rng(1)
    starts = np.arange(0, rows, CHUNK)
    shuffled = generator.permutation(starts)
    scattered = generator.permutation(rows)[:RANDOM_ROWS]
    plain = speed(lambda: read_plain(folder / "plain.h5"))
    yield "plain HDF5 data set, in order", plain, plain
    yield "raw bytes", speed(lambda: read_raw(folder / "raw.bin")), plain
    images = open_images(shards)
    yield "shards, in order", speed(lambda: read_chunks(images, starts)), plain
    name = f"shards, chunks of {CHUNK:,} rows shuffled"
    yield name, speed(lambda: read_chunks(images, shuffled)), plain
    plain = speed(lambda: read_plain_rows(folder / "plain.h5", scattered))
    name = f"{len(scattered):,} random rows"
    yield f"plain HDF5 data set, {name}", plain, plain
    yield f"shards, {name}", speed(lambda: read_rows(images, scattered)), plain


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="drop the page cache first")
    parser.add_argument("--folder", type=Path, help="where to make the files")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    if arguments.rows < 1 or arguments.rounds < 1:
        parser.error("rows and rounds must be positive")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        found = list(measure(arguments.rows, arguments.rounds, arguments.cold, Path(folder)))
    lines = [
        f"{arguments.rows:,} x {PROVENANCE.dim} float16, {'cold' if arguments.cold else 'warm'} "
        f"page cache, {arguments.rounds} rounds.",
        f"{machine()}; load at the start: {load:.1f}.",
        f"Commit {commit()}.",
        "",
        "| | of plain HDF5's speed | rows/s | MB/s |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, speed, plain in found:
        size = speed * PROVENANCE.dim * 2 / 1e6
        lines.append(
            f"| {name} | {number(speed / plain)} | {number(speed, 0)} | {number(size, 0)} |"
        )
    text = "\n".join(lines) + "\n"
    show(text, arguments.out)


if __name__ == "__main__":
    main()
