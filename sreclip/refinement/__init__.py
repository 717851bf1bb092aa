"""Transductive refinement of a method's target predictions."""

from typing import Literal

Refinement = Literal["none", "zlap", "transclip"]
Neighbours = Literal["exact", "approximate"]
