"""I2AwA: web pictures of 40 animals as the source, AwA2 with 50 animals as the target.

Source: UODTN (Zhuo et al., "Unsupervised Open Domain Recognition by Semantic Discrepancy
Minimization", CVPR 2019) and its lists; the target is AwA2 (Xian et al., TPAMI 41(9), 2019).
"""

from __future__ import annotations

from functools import cache

from sreclip.data.benchmarks.classes import read_benchmark_classes
from sreclip.data.benchmarks.spec import Benchmark, Side, counts
from sreclip.data.benchmarks.task import BenchmarkTask

CREDITS = (
    "I2AwA: source pictures collected from the web by Zhuo et al. (CVPR 2019), not for commercial "
    "use; target: Animals with Attributes 2 (Xian et al., TPAMI 2019), pictures under licences of "
    "their own (Creative Commons and similar), listed with the set."
)


@cache
def benchmark() -> Benchmark:
    """Classes, folders and published counts."""
    classes = read_benchmark_classes("i2awa")
    return Benchmark(
        name="i2awa",
        title="I2AwA",
        classes=[item.entry for item in classes],
        known=[item.known for item in classes],
        sides={
            "source": Side(
                "3D2",
                ("3D2", "3D/3D2", "3D2.tar"),
                {
                    f"{item.folder}-{item.entry.wnid}": label
                    for label, item in enumerate(classes)
                    if item.known
                },
                total=sum(item.source or 0 for item in classes),
                counts=counts(classes, "source"),
                numbers=range(len(classes)),
            ),
            "target": Side(
                "AwA2",
                (
                    "Animals_with_Attributes2/JPEGImages",
                    "AwA2/JPEGImages",
                    "JPEGImages",
                    "AwA2",
                    "Animals_with_Attributes2.tar",
                    "AwA2.tar",
                ),
                {item.folder: label for label, item in enumerate(classes)},
                total=sum(item.target or 0 for item in classes),
                counts=counts(classes, "target"),
                numbers=range(len(classes)),
            ),
        },
        credits=CREDITS,
    )


TASK = BenchmarkTask(lambda settings: benchmark())
prepare, first_look, is_as_prepared = TASK.prepare, TASK.first_look, TASK.is_as_prepared
