"""Whether images came or went since a task was prepared.

Modification times are compared for equality with those that the preparation saw, never with the
clock or with each other: a zip file, an exFAT disk or a NAS may date folders in the future, and
``rsync`` or a move in the past.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sreclip.data.manifest import MANIFEST_FILE, read_manifest, read_summary
from sreclip.data.shards import SHARDS_FILE
from sreclip.data.task import FirstLook, Task
from sreclip.errors import StoreError, some
from sreclip.files import file_sha256, read_json, write_json
from sreclip.keys import content_key

# So many images are looked at in less than a second, before every run.
MOST_WATCHED = 20_000
# Clocks of a network disk may be ahead by so much without a word.
_AHEAD_S = 60


def write_seen(seen: Path, look: FirstLook, folder: Path) -> None:
    """Note what was seen before the task in ``folder`` was prepared.

    Images are noted, too, up to `MOST_WATCHED`: one rewritten in place leaves its folder as it is.
    """
    note: dict[str, Any] = {
        "inputs": _key(look.inputs),
        "shards": file_sha256(folder / SHARDS_FILE),
    }
    if look.inputs:
        root = Path(read_summary(folder)["root"])
        names = read_manifest(folder, ["path"])["path"].unique().tolist()
        if len(names) <= MOST_WATCHED:
            note |= {"root": str(root), "images": names, "status": _key(root / n for n in names)}
    write_json(seen, note)


def is_outdated(
    task: Task, settings: Mapping[str, Any], folder: Path, look: FirstLook, seen: Path
) -> bool:
    """Tell whether the prepared task in ``folder`` must be prepared again.

    ``seen`` is a note of `write_seen`. It is of this machine: where it is missing, or of another
    preparation, as after a clone and a pull, classes, names and sizes of the images decide.
    """
    if not look.inputs or not (folder / MANIFEST_FILE).exists():
        return False
    try:
        note = read_json(seen)
        if note["shards"] == file_sha256(folder / SHARDS_FILE):
            images = (Path(note["root"]) / name for name in note.get("images", []))
            watched = note.get("status", _key([]))
            return bool(note["inputs"] != _key(look.inputs) or watched != _key(images))
    except (StoreError, OSError, KeyError, TypeError):
        pass
    try:
        return not task.is_as_prepared(settings, folder)
    except StoreError:  # damaged: it will be made again
        return True


def note_of_dates(look: FirstLook) -> str:
    """Name what is dated in the future; empty if nothing is."""
    latest = time.time() + _AHEAD_S
    ahead = [str(path) for path in look.inputs if path.exists() and path.stat().st_mtime > latest]
    return f"note: dated in the future, which does no harm: {some(ahead)}" if ahead else ""


def _key(paths: Iterable[Path]) -> str:
    return content_key([(str(path), *_status(path)) for path in sorted(set(paths))])


def _status(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    # What a folder's size says depends on the file system.
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return status.st_mtime_ns, size
