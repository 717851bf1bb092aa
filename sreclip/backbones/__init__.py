"""Backbones by name. Importing this package imports no torch.

Each names a function ``load(settings, label, device) -> Backbone``; see `sreclip.backbones.base`.
"""

BACKBONES: dict[str, str] = {
    "mini": "sreclip.backbones.mini:load",
    "open_clip": "sreclip.backbones.open_clip:load",
}
