"""Domains of the benchmarks that have several: their names, folders and published sizes."""

from __future__ import annotations

from typing import NamedTuple


class DomainFolder(NamedTuple):
    """One domain of a set.

    Attributes
    ----------
    spellings : tuple of str
        Names of its folder in the copies that exist.
    total : int or None
        Published number of images.
    """

    spellings: tuple[str, ...]
    total: int | None


PACS = {
    "art_painting": DomainFolder(("art_painting",), 2_048),
    "cartoon": DomainFolder(("cartoon",), 2_344),
    "photo": DomainFolder(("photo",), 1_670),
    "sketch": DomainFolder(("sketch",), 3_929),
}
OFFICE_HOME = {
    "art": DomainFolder(("Art", "art"), 2_427),
    "clipart": DomainFolder(("Clipart", "clipart"), 4_365),
    "product": DomainFolder(("Product", "product"), 4_439),
    "real_world": DomainFolder(("Real World", "Real_World", "RealWorld", "real_world"), 4_357),
}
# Images in the lists of the cleaned version, training and test together.
DOMAINNET = {
    "clipart": DomainFolder(("clipart",), 48_129),
    "infograph": DomainFolder(("infograph",), 51_605),
    "painting": DomainFolder(("painting",), 72_266),
    "quickdraw": DomainFolder(("quickdraw",), 172_500),
    "real": DomainFolder(("real",), 172_947),
    "sketch": DomainFolder(("sketch",), 69_128),
}
MINI_DOMAINNET = {
    name: DomainFolder((name,), None) for name in ("clipart", "painting", "real", "sketch")
}
