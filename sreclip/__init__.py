"""sreclip: adapt frozen CLIP to a new visual domain that also holds unlabelled classes."""

__version__ = "0.1.0"
