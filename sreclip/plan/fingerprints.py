"""The key of what makes features, and hashes of local weights by size and times."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from sreclip.backbones import BACKBONES
from sreclip.config.models import Params
from sreclip.errors import ConfigError, some
from sreclip.features import EXTRACTION_VERSION, FORMAT_VERSION
from sreclip.files import file_sha256, write_json
from sreclip.keys import content_key
from sreclip.plan.code import shipped_files_key

# A file that changed less than this long before it was hashed may change again in the same tick.
_SETTLED_NS = 2_000_000_000
_SHA256 = "backbone.open_clip.sha256"


class Fingerprints:
    """What is remembered of files in ``path``; reading it is cheap, and nothing is written yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, list[object]] = {}
        self.is_new = False
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(path.read_text(encoding="utf-8"))
            self.known = found if isinstance(found, dict) else {}

    def sha256(self, path: Path) -> str:
        """Return the hash of a file; it is read only if its size or times are not the same."""
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        name = str(path.resolve())
        known = self.known.get(name)
        if known is not None and known[:-1] == stamp:
            return str(known[-1])
        now = time.time_ns()
        found = file_sha256(path)
        if now - max(stamp[1:]) > _SETTLED_NS:
            self.known[name] = [*stamp, found]
            self.is_new = True
        return found

    def save(self) -> None:
        """Write what was learnt, if anything was."""
        if self.is_new:
            write_json(self.path, self.known)
            self.is_new = False


def fingerprint(files: Sequence[Path], pinned: str | None, known: Fingerprints) -> str | None:
    """Return one SHA-256 of all files; ``pinned`` is what it must be.

    Of one file it is the file's own. Without files it is None. Raises `ConfigError` if a file is
    missing and nothing is pinned, or they are not those that are pinned.
    """
    if not files:
        return None
    missing = [path for path in files if not path.is_file()]
    if missing and pinned is None:
        where = "a folder" if missing[0].is_dir() else "no checkpoint file"
        way_out = (
            f"set model: local-dir:{missing[0]}"
            if missing[0].is_dir()
            else "check the settings model and pretrained of backbone.open_clip; or set "
            f"{_SHA256} to reach the results that were made with it"
        )
        raise ConfigError(f"open_clip: {where} at {missing[0]}", way_out)
    if missing:
        return pinned
    hashes = [known.sha256(path) for path in files]
    found = hashes[0]
    if len(files) > 1:
        lines = (f"{each}  {path.name}\n" for each, path in zip(hashes, files, strict=True))
        found = hashlib.sha256("".join(lines).encode()).hexdigest()
    if pinned is not None and found != pinned:
        raise ConfigError(
            f"{named(files)} has the SHA-256 {found}, but {_SHA256} is {pinned}",
            "bring back what the results were made with, or set the one that sreclip check shows",
        )
    return found


def named(files: Sequence[Path]) -> str:
    """Name the files of a `fingerprint`."""
    beside = some([path.name for path in files[1:]])
    return f"{files[0]}" + (f" together with {beside}" if beside else "")


def weights_sha256(params: Params, known: Fingerprints) -> str | None:
    """Return the `fingerprint` of the local weights that the parameters name."""
    backbone = params.backbone.chosen
    return fingerprint(backbone.files, backbone.files_sha256, known)


def backbone_key(params: Params, weights: str | None) -> str:
    """Return the key of everything but the images, names and templates that decides features.

    ``weights`` is the `fingerprint` of local weights.
    """
    backbone = params.backbone
    settings = backbone.chosen.model_dump(exclude=backbone.chosen.paths if weights else set())
    return content_key(
        "backbone",
        EXTRACTION_VERSION,
        FORMAT_VERSION,
        backbone.name,
        settings,
        params.features.model_dump(include={"dtype", "max_pixels", "reduced_jpeg"}),
        shipped_files_key(BACKBONES[backbone.name].partition(":")[0]),
        *([weights] if weights else []),
    )
