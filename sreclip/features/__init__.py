"""Frozen features: pictures and texts in, checksummed HDF5 files out."""

EXTRACTION_VERSION = 1
"""Raise it when a change of code changes the numbers in a feature file; it is part of the key."""

FORMAT_VERSION = 2
"""Raise it when feature files are laid out in another way; it is part of the key, too."""
