"""What a feature file holds, for a person."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sreclip.errors import StoreError, some
from sreclip.features.checks import read_rejects, read_shard_entries, verify_file
from sreclip.features.header import open_hdf5, read_header, read_json_bytes, reading

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = 5


def describe(path: Path) -> dict[str, Any]:
    """Gather what a feature file says of itself, and whether it reads through.

    Returns
    -------
    dict
        The attributes of `sreclip.features.header.Header`, and ``shape``, ``file_bytes``,
        ``checksum`` (``good``, or what is wrong). Image and joined files add ``rejects`` and
        ``first_rejects``, joined ones ``shards``, text files ``names`` and ``templates``.

    Raises
    ------
    StoreError
        It is not a feature file, or its header cannot be read.
    """
    with reading(path), open_hdf5(path) as file:
        header = read_header(file, path)
        about = {**asdict(header), "shape": tuple(file["features"].shape)}
        if header.kind == "text":
            about["names"] = read_json_bytes(file["names"])
            about["templates"] = read_json_bytes(file["template_texts"])
        else:
            rejects = read_rejects(file)
            about["rejects"] = len(rejects)
            about["first_rejects"] = [asdict(reject) for reject in rejects[:_SHOWN]]
        if header.kind == "joined":
            about["shards"] = [entry.path for entry in read_shard_entries(file)]
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

    about = describe(path)
    table = Table(title=Text(str(path)), show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def add(label: str, value: Any) -> None:
        # Text and not str: a path or class name may hold what rich takes for markup.
        table.add_row(label, Text(str(value)))

    rows, dim = about["shape"]
    kind = {"images": "image features", "joined": "joined image features", "text": "text features"}
    add("holds", f"{kind[about['kind']]}, {rows} x {dim}, {about['dtype']}")
    if about["domain"]:
        add("domain", about["domain"])
    add("backbone", f"{about['backbone']}, {about['precision']}")
    add("weights", about["weights_sha256"])
    add("preprocessing", about["preprocessing"])
    add("logit scale", f"{about['logit_scale']:g}")
    add("key", f"{about['key']} (rows {about['rows_key']}, version {about['extraction_version']})")
    add("made with", ", ".join(f"{name} {text}" for name, text in about["versions"].items()))
    if "names" in about:
        add("names", some(about["names"]))
        add("templates", some(about["templates"]))
    if "shards" in about:
        add("shards", f"{len(about['shards'])}: {some(about['shards'])}")
    if "rejects" in about:
        add("rejects", about["rejects"])
        for reject in about["first_rejects"]:
            add("", f"{reject['path']}: {reject['reason']}")
    add("file size", f"{about['file_bytes']:,} bytes")
    add("checksum", about["checksum"])
    return table
