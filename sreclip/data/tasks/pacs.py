"""PACS: photos, art paintings, cartoons and sketches of seven classes.

Source: Li et al., "Deeper, broader and artier domain generalization", ICCV 2017. The split with
``person`` unknown is that of open-set domain generalisation (Wang et al., MEDIC, ICCV 2023).
"""

from __future__ import annotations

from sreclip.data.benchmarks.classes import read_benchmark_classes
from sreclip.data.benchmarks.pairs import DomainFolder, PairedSet
from sreclip.data.benchmarks.task import BenchmarkTask

PACS = PairedSet(
    name="pacs",
    title="PACS",
    credits="PACS (Li et al., ICCV 2017), for research that is not commercial.",
    classes=read_benchmark_classes("pacs"),
    domains={
        "art_painting": DomainFolder(("art_painting",), 2_048),
        "cartoon": DomainFolder(("cartoon",), 2_344),
        "photo": DomainFolder(("photo",), 1_670),
        "sketch": DomainFolder(("sketch",), 3_929),
    },
    above=("PACS", "pacs", "images", "kfold", "pacs_data"),
)

TASK = BenchmarkTask(PACS.benchmark)
prepare, first_look, is_as_prepared = TASK.prepare, TASK.first_look, TASK.is_as_prepared
