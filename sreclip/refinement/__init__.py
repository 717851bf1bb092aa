"""Transductive refinement of a method's target predictions."""

from typing import Literal

Refinement = Literal["adapt", "class_bias", "frolic", "inmap", "stata", "transclip", "zlap"]
Neighbours = Literal["exact", "approximate"]
