"""What a sealed file holds, for a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sreclip.errors import StoreError, some
from sreclip.features.images import read_notes, read_rejects
from sreclip.features.verify import verify_file
from sreclip.sealed import open_sealed, read_json

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = 5


def describe(path: Path) -> dict[str, Any]:
    """Gather what a sealed file says about itself, and whether it is whole.

    The result holds ``kind``, the attributes, ``data`` (shape and type by name), ``file_bytes``
    and ``checksum`` (``good``, or what is wrong); of images ``rejects`` and ``notes``, of texts
    ``names`` and ``template_texts``. `StoreError` where even that is damaged, or it is no sealed
    file.
    """
    seal = open_sealed(path)
    with seal.hdf5() as file:
        about = {"kind": seal.kind, **file.attrs}
        about["data"] = {name: (data.shape, str(data.dtype)) for name, data in file.items()}
        if seal.kind == "images":
            about["rejects"] = read_rejects(file)
            about["notes"] = read_notes(file)
        elif seal.kind == "text":
            about |= {name: read_json(file[name]) for name in ("names", "template_texts")}
    about["file_bytes"] = path.stat().st_size
    try:
        verify_file(path)
        about["checksum"] = "good"
    except StoreError as error:
        about["checksum"] = error.message
    return about


def render(path: Path) -> Table:
    """Lay out `describe` as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(str(path)), show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def add(label: str, value: Any) -> None:
        # Text and not str: a path or class name may hold what rich takes for markup.
        table.add_row(label, Text(str(value)))

    for name, value in describe(path).items():
        if name == "data":
            for data, (shape, dtype) in value.items():
                add(data, f"{' x '.join(map(str, shape))}, {dtype}")
        elif name == "rejects":
            add("rejects", len(value))
            for reject in value[:_SHOWN]:
                add("", f"{reject.path}: {reject.reason}")
        elif name == "notes":
            for note, count in value.items():
                add("note", f"{count} images: {note}")
        elif name == "versions":
            add("made with", some([f"{n} {v}" for n, v in json.loads(value).items()], 10))
        elif isinstance(value, (list, np.ndarray)):
            add(name, some([str(item) for item in value]))
        else:
            add(name, value)
    return table
