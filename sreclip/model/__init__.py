"""Fitted models that are kept: saved as a folder, loaded without their data, used on new images."""

from typing import Literal

# How predictions are written, and how images get into sorted folders.
Format = Literal["csv", "jsonl", "parquet", "label-studio", "fiftyone"]
Way = Literal["link", "copy", "move"]
