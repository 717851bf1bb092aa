"""Backbones by name. Importing this package imports no torch.

Each names a function ``load(settings, label, device) -> Backbone``; see `sreclip.backbones.base`.
"""

BACKBONES: dict[str, str] = {
    "mini": "sreclip.backbones.mini:load",
    "open_clip": "sreclip.backbones.open_clip:load",
    "precomputed": "sreclip.backbones.precomputed:load",
}

LOCAL, HUB = "local-dir:", "hf-hub:"
"""Before the name of an open_clip model that is a folder, or lies on the Hugging Face Hub."""

CHECKPOINT_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")

CONFIGURATIONS = ("open_clip_config.json", "config.json", "preprocessor_config.json")
"""What may lie beside weights and say how to use them; see `sreclip.backbones.recipes`."""


def is_path(pretrained: str) -> bool:
    """Tell whether weights are named by a path and not by a tag."""
    return "/" in pretrained or pretrained.endswith(CHECKPOINT_SUFFIXES)
