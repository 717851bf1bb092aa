"""What every feature file says about itself, and the checks that need no more than that.

A feature file is plain HDF5 whose attributes name what made it. The *content key* hashes the
attributes that decide the numbers; library versions are recorded but not keyed. Attributes are
fixed-length byte strings: variable-length ones lie in a heap that carries no checksum, and a
flipped bit there can crash the HDF5 library instead of raising an error. Virtual data sets need
that heap, so the user block (the first `USER_BLOCK` bytes, which HDF5 leaves to the user) holds a
*seal*, the SHA-256 of the rest of the file, that readers of joined files look at beforehand.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import h5py
import numpy as np

import sreclip
from sreclip.errors import DamagedError, StoreError
from sreclip.features import EXTRACTION_VERSION, FORMAT_VERSION
from sreclip.keys import content_key

if TYPE_CHECKING:
    from sreclip.backbones.base import Backbone

FORMAT = "sreclip-features"
USER_BLOCK = 512  # the least that HDF5 allows
Kind = Literal["images", "joined", "text"]
Dtype = Literal["float16", "float32"]
REMADE_BY: Mapping[str, str] = {
    "images": "snakemake --cores all extract_features (one shard: sreclip extract-images)",
    "joined": "snakemake --cores all extract_features",
    "text": "snakemake --cores all extract_features (this file: sreclip extract-text)",
}
# h5py raises any of these when damage makes an object look like another kind of object.
DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError)


@dataclass(frozen=True)
class Provenance:
    """What the vectors were made with.

    Attributes
    ----------
    backbone, weights_sha256, preprocessing : str
        As in `sreclip.backbones.base.Backbone`.
    precision : str
        Number format of the forward pass, ``float32`` unless the backbone says otherwise.
    dtype : str
        Number format of the stored rows.
    logit_scale : float
        The backbone's factor from cosine to logits; recorded, decided by the weights.
    dim : int
        Width of a row; recorded, decided by the weights.
    """

    backbone: str
    weights_sha256: str
    preprocessing: str
    precision: str
    dtype: str
    logit_scale: float
    dim: int

    @classmethod
    def of(cls, backbone: Backbone, dtype: Dtype = "float16", least_side: int = 0) -> Provenance:
        """Read the provenance off a backbone; ``least_side`` of reduced JPEG files, if they are."""
        reduced = f"; JPEG decoded at a reduced size of {least_side} or more" if least_side else ""
        return cls(
            backbone=backbone.label,
            weights_sha256=backbone.weights_sha256,
            preprocessing=backbone.preprocessing + reduced,
            precision=backbone.precision,
            dtype=dtype,
            logit_scale=float(backbone.logit_scale),
            dim=int(backbone.dim),
        )

    def file_key(
        self, kind: Kind, rows_key: str, extraction_version: int = EXTRACTION_VERSION
    ) -> str:
        """Content key of a file of this ``kind`` over the inputs that ``rows_key`` hashes."""
        return content_key(
            FORMAT_VERSION,
            extraction_version,
            kind,
            self.backbone,
            self.weights_sha256,
            self.preprocessing,
            self.precision,
            self.dtype,
            rows_key,
        )


@dataclass(frozen=True)
class Header(Provenance):
    """The attributes of a feature file: what made the vectors, and of which inputs.

    Attributes
    ----------
    kind : str
        ``images`` (one shard), ``joined`` (a view over shards) or ``text``.
    key : str
        Content key of the file.
    rows_key : str
        Hash of the inputs: manifest rows, keys of the joined shards, or names and templates.
    domain : str
        ``source`` or ``target``; empty in a text file.
    extraction_version : int
        `sreclip.features.EXTRACTION_VERSION` of the code that made the file.
    versions : Mapping[str, str]
        Library versions, recorded but not keyed.
    payload_sha256 : str
        Hash of the data sets, see `PayloadHash`.
    """

    kind: Kind
    key: str
    rows_key: str
    domain: str
    extraction_version: int
    versions: Mapping[str, str]
    payload_sha256: str

    @property
    def provenance(self) -> Provenance:
        """The part that says what made the vectors."""
        return Provenance(**{name: getattr(self, name) for name in _PROVENANCE})


_PROVENANCE = tuple(field.name for field in fields(Provenance))
_HEADER = tuple(field.name for field in fields(Header))


class PayloadHash:
    """SHA-256 over the data sets of a file, fed block by block.

    Each data set has a hash of its own, so that several may be written side by side; the
    digest covers names, number formats, shapes and bytes.
    """

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}
        self._about: dict[str, tuple[str, list[int]]] = {}

    def update(self, name: str, block: np.ndarray) -> None:
        """Add the next rows of data set ``name``."""
        block = np.ascontiguousarray(block)
        _, shape = self._about.get(name, ("", [0]))
        self._about[name] = (block.dtype.str, [shape[0] + len(block), *block.shape[1:]])
        self._parts.setdefault(name, hashlib.sha256()).update(block.data)

    def hexdigest(self) -> str:
        """Digest of everything seen so far."""
        parts = [[n, *self._about[n], self._parts[n].hexdigest()] for n in sorted(self._parts)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def new_header(
    kind: Kind, provenance: Provenance, rows_key: str, domain: str, payload_sha256: str
) -> Header:
    """Header of a file that is being written, with its key and today's library versions."""
    return Header(
        **asdict(provenance),
        kind=kind,
        key=provenance.file_key(kind, rows_key),
        rows_key=rows_key,
        domain=domain,
        extraction_version=EXTRACTION_VERSION,
        versions=library_versions(),
        payload_sha256=payload_sha256,
    )


def library_versions() -> dict[str, str]:
    """Versions of the libraries that touch the numbers, without importing them."""
    versions = {"sreclip": sreclip.__version__}
    for name in ("h5py", "numpy", "open_clip_torch", "pillow", "torch", "torchvision"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def write_header(file: h5py.File, header: Header) -> None:
    """Write the header as attributes, and a hash over them."""
    attributes = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(header)}
    attributes["versions"] = json.dumps(attributes["versions"], sort_keys=True)
    attributes["header_sha256"] = _attributes_sha256(attributes)
    for name in sorted(attributes):
        value = attributes[name]
        file.attrs[name] = _to_bytes(value) if isinstance(value, str) else value


def read_header(file: h5py.File, path: Path) -> Header:
    """Read and check the header of an open file.

    Raises
    ------
    StoreError
        Not a feature file, another format version, or attributes that contradict each other.
    """
    raw = {name: _from_attribute(value) for name, value in file.attrs.items()}
    if raw.get("format") != FORMAT:
        raise StoreError(f"{path} is not a feature file of sreclip", _remake("images"))
    version = raw.get("format_version")
    if version != FORMAT_VERSION:
        raise StoreError(
            f"{path}: format version {version}, this sreclip reads {FORMAT_VERSION}",
            _remake(raw.get("kind", "images")),
        )
    digest = raw.pop("header_sha256", "")
    if digest != _attributes_sha256(raw):
        raise damaged(path, "its attributes do not match their checksum")
    missing = [name for name in _HEADER if name not in raw]
    if missing:
        raise damaged(path, f"no attribute {missing[0]!r}")
    raw["versions"] = json.loads(raw["versions"])
    header = Header(**{name: raw[name] for name in _HEADER})
    if header.key != header.file_key(header.kind, header.rows_key, header.extraction_version):
        raise damaged(path, "its key does not follow from its attributes", header.kind)
    return header


def check_expected(header: Header, expected: Mapping[str, Any] | None, path: Path) -> None:
    """Compare attributes with what the reader needs.

    Parameters
    ----------
    expected : Mapping[str, Any] or None
        Wanted values by attribute name, such as ``{"key": "1f0c...", "backbone": "mini"}``.

    Raises
    ------
    StoreError
        An attribute differs.
    """
    found = asdict(header)
    for name, wanted in (expected or {}).items():
        if found[name] != wanted:
            raise StoreError(
                f"{path}: {name} is {found[name]!r}, expected {wanted!r}; "
                "it was made from other inputs or other settings",
                _remake(header.kind),
            )


def damaged(path: Path, what: str, kind: str = "images") -> DamagedError:
    """Word the error for a file that cannot be trusted."""
    return DamagedError(path, f"{path} is damaged: {what}", _remake(kind))


def _remake(kind: str) -> str:
    return f"delete it and run: {REMADE_BY.get(kind, REMADE_BY['images'])}"


@contextlib.contextmanager
def reading(path: Path, kind: str = "images") -> Iterator[None]:
    """Turn what HDF5 raises on a missing, truncated or damaged file into a `StoreError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing", f"run: {REMADE_BY[kind]}") from error
    except (PermissionError, IsADirectoryError) as error:
        raise StoreError(
            f"{path} cannot be read ({error.__class__.__name__})",
            "give the path of a feature file that you may read",
        ) from error
    except DAMAGE as error:
        text = str(error)
        if "truncated file" in text:
            what = "it is shorter than it was when written"
        elif "signature not found" in text:
            raise DamagedError(path, f"{path} is not an HDF5 file", _remake(kind)) from error
        elif "filter returned failure" in text:
            what = "a block does not match its checksum"
        else:
            what = " ".join(text.split()) or error.__class__.__name__
        raise damaged(path, what, kind) from error


def open_hdf5(path: Path) -> h5py.File:
    """Open for reading, without a lock: files are replaced whole, never changed in place."""
    if not path.exists():
        raise FileNotFoundError(str(path))
    return h5py.File(path, "r", locking=False)


def seal(file: BinaryIO | io.RawIOBase) -> None:
    """Write the hash of a finished file into its user block."""
    content = _seal_of(file)
    file.seek(0)
    file.write(content)


def check_seal(path: Path, kind: str) -> None:
    """Compare a whole file with its seal.

    Raises
    ------
    StoreError
        They differ.
    """
    with path.open("rb") as file:
        if file.read(USER_BLOCK) != _seal_of(file):
            raise damaged(path, "its bytes do not match their SHA-256", kind)


def _seal_of(file: Any) -> bytes:
    file.seek(USER_BLOCK)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{FORMAT} {FORMAT_VERSION}, SHA-256 of the rest: {digest}\n".encode().ljust(USER_BLOCK)


def json_bytes(value: Any) -> np.ndarray:
    """JSON text as bytes, for a data set (an attribute could not pass 64 kB)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return np.frombuffer(text.encode(), dtype=np.uint8)


def read_json_bytes(dataset: h5py.Dataset) -> Any:
    """Read what `json_bytes` wrote."""
    return json.loads(dataset[()].tobytes().decode())


def blocks(n_rows: int, size: int) -> Iterator[slice]:
    """Cut ``n_rows`` into consecutive slices of ``size``."""
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def text_rows_key(
    names: Sequence[str], prompt_names: Sequence[Sequence[str]], templates: Sequence[str]
) -> str:
    """Hash the inputs of a text file."""
    return content_key(list(names), [list(group) for group in prompt_names], list(templates))


def joined_rows_key(shard_keys: Sequence[str]) -> str:
    """Hash the keys of the shards of a joined file, in order."""
    return content_key(list(shard_keys))


def _attributes_sha256(attributes: Mapping[str, Any]) -> str:
    text = json.dumps(dict(attributes), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _to_bytes(text: str) -> np.bytes_:
    # HDF5 has no zero-length strings; a blank stands for none.
    return np.bytes_(text.encode() or b" ")


def _from_attribute(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode().strip(" ")
    return value.item() if isinstance(value, np.generic) else value
