"""DomainNet: six domains with 345 classes, or its mini version, four domains with 126 classes.

Source: Peng et al., "Moment matching for multi-source domain adaptation", ICCV 2019 (the cleaned
version); mini: Zhou et al., "Domain adaptive ensemble learning", IEEE TIP 30, 2021. The split with
45 unknown classes is that of zero-shot learning over domains (Mancini et al., "Towards recognizing
unseen categories in unseen domains", ECCV 2020, its data/DomainNet/test_classes.npy); the mini
version has 13 of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sreclip.data.benchmarks.spec import Benchmark, DomainFolder, PairedSet
from sreclip.data.benchmarks.task import BenchmarkTask

CREDITS = "DomainNet (Peng et al., ICCV 2019), for research that is not commercial."
# Images in the cleaned version's lists, training and test together.
TOTALS = {
    "clipart": 48_129,
    "infograph": 51_605,
    "painting": 72_266,
    "quickdraw": 172_500,
    "real": 172_947,
    "sketch": 69_128,
}
ABOVE = ("DomainNet", "domainnet", "domain_net")

DOMAINNET = PairedSet(
    name="domainnet",
    title="DomainNet",
    credits=CREDITS,
    domains={name: DomainFolder((name,), total) for name, total in TOTALS.items()},
    above=ABOVE,
)
MINI = PairedSet(
    name="domainnet",
    title="miniDomainNet",
    credits=f"{CREDITS} Classes of the mini version by Zhou et al. (IEEE TIP 2021).",
    domains={
        name: DomainFolder((name,), None) for name in ("clipart", "painting", "real", "sketch")
    },
    above=ABOVE,
    part=True,
)


class DomainNet(BenchmarkTask):
    """Any two of the domains."""

    def benchmark(self, settings: Mapping[str, Any]) -> Benchmark:
        """Return the benchmark of two domains, of the whole set or of the mini version."""
        return (MINI if settings["mini"] else DOMAINNET).benchmark(settings)
