"""Public benchmarks: what they hold, where their pictures lie, and whether all are there."""
