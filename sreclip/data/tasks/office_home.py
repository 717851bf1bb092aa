"""Office-Home: art, clip art, product images and photos of 65 things at the office and at home.

Source: Venkateswara et al., "Deep hashing network for unsupervised domain adaptation", CVPR 2017.
The split with the first 25 classes in alphabetical order known and 40 unknown is the usual one of
open-set domain adaptation (for instance Liu et al., STA, CVPR 2019; Bucci et al., ROS, ECCV 2020).
"""

from __future__ import annotations

from sreclip.data.benchmarks.spec import DomainFolder, PairedSet
from sreclip.data.benchmarks.task import PairedTask


class OfficeHome(PairedTask):
    """Any two of the four domains."""

    paired = PairedSet(
        name="office_home",
        title="Office-Home",
        credits="Office-Home (Venkateswara et al., CVPR 2017), for research that is not "
        "commercial.",
        domains={
            "art": DomainFolder(("Art", "art"), 2_427),
            "clipart": DomainFolder(("Clipart", "clipart"), 4_365),
            "product": DomainFolder(("Product", "product"), 4_439),
            "real_world": DomainFolder(
                ("Real World", "Real_World", "RealWorld", "real_world"), 4_357
            ),
        },
        above=("OfficeHomeDataset_10072016", "OfficeHome", "office_home", "images"),
    )
