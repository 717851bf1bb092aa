"""Features that other programs made: their rows, what belongs to the rows, and texts."""
