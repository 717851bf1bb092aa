"""Transductive refinement of a method's target predictions."""
