"""Transductive refinement of a method's target predictions."""

from typing import Literal

Refinement = Literal["class_bias", "stata", "transclip", "zlap"]
Neighbours = Literal["exact", "approximate"]
