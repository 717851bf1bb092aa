"""Frozen features: images and texts in, sealed HDF5 files out."""

EXTRACTION_VERSION = 1
"""Raise it when a change of code changes the numbers in a feature file; it is part of the key."""

FORMAT_VERSION = 4
"""Raise it when the layout of feature files changes; it is part of the key."""
