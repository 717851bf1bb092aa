"""What a machine and a project lack for a run: looked at, not mended."""
