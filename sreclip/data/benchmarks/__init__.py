"""Public benchmarks: what they hold, where their images lie, and whether all are there."""
