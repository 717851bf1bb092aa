"""I2WebV: ImageNet-1k as the source, WebVision 2.0's validation images as the target.

Source: the class lists of UODTN (Zhuo et al., CVPR 2019), as used for I2WebV by TSCE (Zhang et al.,
IEEE TIP 32, 2023); ImageNet (Russakovsky et al., IJCV 115, 2015); WebVision (Li et al.,
arXiv 1708.02862).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sreclip.data.benchmarks.classes import read_benchmark_classes
from sreclip.data.benchmarks.spec import Benchmark, Side
from sreclip.data.benchmarks.task import BenchmarkTask

CREDITS = (
    "I2WebV: ImageNet-1k (Russakovsky et al., IJCV 2015), for research that is not commercial; "
    "WebVision 2.0 (Li et al., 2017), for research that is not commercial."
)


class I2Webv(BenchmarkTask):
    """Classes, folders and published counts."""

    def benchmark(self, settings: Mapping[str, Any]) -> Benchmark:
        """Return the one benchmark."""
        table = read_benchmark_classes("i2webv")
        by_wnid = {item.folder: label for label, item in enumerate(table)}
        return Benchmark(
            "i2webv",
            "I2WebV",
            table,
            {
                "source": Side(
                    "ImageNet-1k",
                    (
                        "imagenet/train",
                        "imagenet/ILSVRC/Data/CLS-LOC/train",
                        "ILSVRC/Data/CLS-LOC/train",
                        "imagenet",
                    ),
                    {wnid: label for wnid, label in by_wnid.items() if table[label].known},
                    total=1_281_167,
                ),
                "target": Side(
                    "WebVision 2.0's validation images",
                    (
                        "webvision/image",
                        "webvision/val_images_resized",
                        "webvision/val",
                        "webvision/image.tar",
                        "webvision/val_images_resized.tar",
                    ),
                    by_wnid,
                    total=294_099,
                ),
            },
            CREDITS,
        )
