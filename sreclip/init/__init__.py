"""From two folders and a list of names to parameters: what is there, and what it means."""
