"""What every feature file says about itself, as HDF5 attributes.

The *content key* hashes the attributes that decide the numbers. Library versions are recorded but
not keyed.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

import h5py
import numpy as np
from numpy.typing import NDArray

import sreclip
from sreclip.backbones.base import Backbone
from sreclip.errors import StoreError
from sreclip.features import EXTRACTION_VERSION, FORMAT_VERSION
from sreclip.keys import content_key
from sreclip.sealed import MADE_BY, Seal

Dtype = Literal["float16", "float32"]
# Rounding to float16 moves each component by at most 2**-11 of itself, and so the length.
NORM_TOLERANCE = {"float16": 2e-3, "float32": 1e-3}


@dataclass(frozen=True)
class Provenance:
    """What the vectors were made with.

    Attributes
    ----------
    backbone, weights_sha256, preprocessing : str
        As in `sreclip.backbones.base.Backbone`.
    precision : str
        Number format of the forward pass.
    dtype : str
        Number format of the stored rows.
    logit_scale : float
        The backbone's factor from cosine to logits; not keyed, since the weights decide it.
    dim : int
        Width of a row; not keyed, since the weights decide it.
    """

    backbone: str
    weights_sha256: str
    preprocessing: str
    precision: str
    dtype: str
    logit_scale: float
    dim: int

    @classmethod
    def of(cls, backbone: Backbone, dtype: Dtype, least_side: int = 0) -> Provenance:
        """Describe a backbone; ``least_side`` of reduced JPEG files, or 0."""
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

    def file_key(self, kind: str, rows_key: str) -> str:
        """Content key of a file of this ``kind`` with the inputs that ``rows_key`` hashes."""
        return content_key(
            FORMAT_VERSION,
            EXTRACTION_VERSION,
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
    """The attributes of a feature file: what made the vectors, and from which inputs.

    Attributes
    ----------
    kind : str
        ``images`` (one shard) or ``text``.
    key : str
        Content key of the file.
    rows_key : str
        Hash of the inputs: manifest rows, or names and templates.
    domain : str
        ``source`` or ``target``; empty in a text file.
    extraction_version : int
        `sreclip.features.EXTRACTION_VERSION` of the code that made the file.
    versions : Mapping[str, str]
        Library versions.
    """

    kind: str
    key: str
    rows_key: str
    domain: str
    extraction_version: int
    versions: Mapping[str, str]

    @classmethod
    def new(cls, kind: str, provenance: Provenance, rows_key: str, domain: str = "") -> Self:
        """Header of a file that is being written, with its key and today's library versions."""
        return cls(
            **asdict(provenance),
            kind=kind,
            key=provenance.file_key(kind, rows_key),
            rows_key=rows_key,
            domain=domain,
            extraction_version=EXTRACTION_VERSION,
            versions=library_versions(),
        )

    def write(self, file: h5py.File) -> None:
        """Write the attributes."""
        versions = json.dumps(self.versions, sort_keys=True)
        file.attrs.update(asdict(self) | {"versions": versions})

    @classmethod
    def read(cls, file: h5py.File) -> Self:
        """Read the attributes."""
        found = {field.name: file.attrs[field.name] for field in fields(cls)}
        plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in found.items()}
        return cls(**plain | {"versions": json.loads(plain["versions"])})

    def check(self, expected: Mapping[str, Any], path: Path) -> None:
        """Compare attributes with the wanted values, by name.

        Raises
        ------
        StoreError
            An attribute differs.
        """
        for name, wanted in expected.items():
            if (found := getattr(self, name)) != wanted:
                raise StoreError(
                    f"{path}: {name} is {found!r}, expected {wanted!r}; "
                    "it was made from other inputs or with other settings",
                    f"delete it and run: {MADE_BY[self.kind]}",
                )


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide the numbers, without importing them."""
    versions = {"sreclip": sreclip.__version__}
    for name in ("h5py", "numpy", "open_clip_torch", "pillow", "torch", "torchvision"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def read_header(seal: Seal) -> Header:
    """Read the header of a feature file."""
    with seal.hdf5() as file:
        return Header.read(file)


def check_rows(rows: NDArray[Any], ok: NDArray[np.bool_], names: Sequence[str], path: Path) -> None:
    """Check feature rows before they are written.

    Parameters
    ----------
    rows : ndarray
        ``(n_rows, dim)``.
    ok : ndarray
        ``(n_rows,)``; other rows must be zero.
    names : sequence of str
        What to call each row.
    path : Path
        The file, for the error.

    Raises
    ------
    StoreError
        A row is not finite, not of unit length, or not zero though it must be.
    """
    norms = np.linalg.norm(rows.astype(np.float32), axis=1)
    for wrong, what in (
        (~np.isfinite(norms), "is not finite"),
        (ok & (abs(norms - 1) > NORM_TOLERANCE[str(rows.dtype)]), "is not of unit length"),
        (~ok & (norms != 0), "belongs to a rejected image but is not zero"),
    ):
        if wrong.any():
            at = int(wrong.argmax())
            raise StoreError(
                f"{path}: the row of {names[at]} {what} (length {norms[at]:g})",
                "check the backbone and its weights",
            )
