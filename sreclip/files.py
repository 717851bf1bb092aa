"""Files that are either whole or absent."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sreclip.errors import ConfigError, DamagedError, DataError, StoreError

T = TypeVar("T")

_FULL = (": the disk is full", "free some room and run again")
_DENIED = (": the folder cannot be written", "make it writable or choose another output folder")
_TAKEN = (" cannot be written", "a folder is in the way of a file, or a file in that of a folder")
_CAUSES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FULL),
    **dict.fromkeys((errno.EACCES, errno.EROFS, errno.EPERM), _DENIED),
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.EEXIST), _TAKEN),
}


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place when the block succeeds.

    The temporary file is on the same file system, is flushed to the disk before the rename,
    and is removed when the block fails. Raises `StoreError` if the folder cannot be written, the
    disk is full, or the name is taken by a folder.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder``; rename it into place when the block succeeds.

    Raises `ConfigError` if the folder exists, `StoreError` if it cannot be written.
    """
    if os.path.lexists(folder):
        raise ConfigError(f"{folder} exists", "give a folder that does not, or remove it")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        with _written(folder):
            temporary.mkdir(parents=True)
            yield temporary
            temporary.rename(folder)
            _sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    """Raise `StoreError` where the disk or the folder is why something cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno in _CAUSES:
            what, way_out = _CAUSES[error.errno]
            raise StoreError(f"{path}{what} ({error.strerror})", way_out) from error
        raise


def set_aside(path: Path) -> Path:
    """Rename a file that cannot be used, so that it is made again; return its new path."""
    aside = path.with_name(f"{path.name}.damaged")
    with contextlib.suppress(FileNotFoundError):  # another job was quicker
        path.replace(aside)
    return aside


def aside(damaged: DamagedError) -> StoreError:
    """Set a damaged file aside and return the error that says so."""
    path = set_aside(damaged.path)
    return StoreError(damaged.message, f"set aside as {path}; run again, and it is made again")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON that ends in a newline, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, *, made_by: str = "") -> Any:
    """Read a JSON file; raise `StoreError` if it is missing or is not JSON.

    ``made_by`` names the step that makes it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing", made_by and f"make it with: {made_by}") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror})") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(
            f"{path} is not valid JSON ({error})", made_by and f"make it again with: {made_by}"
        ) from error


def read_keyed(path: Path, key: str, *, made_by: str) -> dict[str, Any]:
    """Read a JSON object that names its content key.

    Raises as `read_json`; `StoreError` if its key is not that of its path.
    """
    value = read_json(path, made_by=made_by)
    found = value.get("key") if isinstance(value, dict) else None
    if found != key:
        raise StoreError(
            f"{path} was made from something else (key {found}, not {key})",
            f"delete it and make it again with: {made_by}",
        )
    return dict(value)


def read_csv(
    path: Path, value_of: Callable[[Iterable[dict[str, str]]], T], *, what: str, made_by: str
) -> T:
    """Read a CSV file with a header; raise `StoreError` if it is missing or damaged.

    ``value_of`` makes the value of the rows; its `KeyError`, `TypeError` or `ValueError` tells
    damage. ``what`` says what the table is of, ``made_by`` which step makes it.
    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            return value_of(csv.DictReader(handle))
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing", f"make it with: {made_by}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} is no table of {what} ({type(error).__name__}: {error})",
            f"delete it and make it again with: {made_by}",
        ) from error


def read_utf8(path: Path, what: str, hint: str) -> str:
    """Read UTF-8 text that the user wrote, with or without a byte order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"{path}: the {what} cannot be read ({cause})", hint) from error


def expanded(path: str) -> Path:
    """Return a path that a user wrote, with ``~`` and variables such as ``$HOME`` filled in.

    A file or folder that is there under the name as it is written keeps it.
    """
    if "$" in path and Path(path).exists():
        return Path(path)
    return Path(os.path.expandvars(path)).expanduser()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal, read in chunks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
