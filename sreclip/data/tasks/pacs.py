"""PACS: photos, art paintings, cartoons and sketches of seven classes.

Source: Li et al., "Deeper, broader and artier domain generalization", ICCV 2017. The split with
``person`` unknown is that of open-set domain generalisation (Wang et al., MEDIC, ICCV 2023).
"""

from __future__ import annotations

from sreclip.data.benchmarks.spec import DomainFolder, PairedSet
from sreclip.data.benchmarks.task import PairedTask


class Pacs(PairedTask):
    """Any two of the four domains."""

    paired = PairedSet(
        name="pacs",
        title="PACS",
        credits="PACS (Li et al., ICCV 2017), for research that is not commercial.",
        domains={
            "art_painting": DomainFolder(("art_painting",), 2_048),
            "cartoon": DomainFolder(("cartoon",), 2_344),
            "photo": DomainFolder(("photo",), 1_670),
            "sketch": DomainFolder(("sketch",), 3_929),
        },
        above=("PACS", "pacs", "images", "kfold", "pacs_data"),
    )
