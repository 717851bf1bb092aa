"""I2AwA: web images of 40 animals as the source, AwA2 with 50 animals as the target.

Source: UODTN (Zhuo et al., "Unsupervised Open Domain Recognition by Semantic Discrepancy
Minimization", CVPR 2019) and its lists; the target is AwA2 (Xian et al., TPAMI 41(9), 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sreclip.data.benchmarks.classes import read_benchmark_classes
from sreclip.data.benchmarks.spec import Benchmark, Side
from sreclip.data.benchmarks.task import BenchmarkTask

CREDITS = (
    "I2AwA: source images collected from the web by Zhuo et al. (CVPR 2019), not for commercial "
    "use; target: Animals with Attributes 2 (Xian et al., TPAMI 2019), images under licences of "
    "their own (Creative Commons and similar), listed with the set."
)


class I2Awa(BenchmarkTask):
    """Classes, folders and published counts."""

    def benchmark(self, settings: Mapping[str, Any]) -> Benchmark:
        """Return the one benchmark."""
        table = read_benchmark_classes("i2awa")
        source = {label: item.source for label, item in enumerate(table) if item.source}
        target = {label: item.target for label, item in enumerate(table) if item.target}
        return Benchmark(
            "i2awa",
            "I2AwA",
            table,
            {
                "source": Side(
                    "3D2",
                    ("3D2", "3D/3D2", "3D2.tar"),
                    {
                        f"{item.folder}-{item.entry.wnid}": label
                        for label, item in enumerate(table)
                        if item.known
                    },
                    total=sum(source.values()),
                    counts=source,
                    numbers=range(len(table)),
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
                    {item.folder: label for label, item in enumerate(table)},
                    total=sum(target.values()),
                    counts=target,
                    numbers=range(len(table)),
                ),
            },
            CREDITS,
        )
