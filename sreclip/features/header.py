"""What every feature file says about itself, as HDF5 attributes.

The *content key* hashes the attributes that decide the numbers. Library versions are recorded but
not keyed.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

import h5py
import numpy as np
from numpy.typing import NDArray

import sreclip
from sreclip.backbones.base import Backbone
from sreclip.errors import ConfigError, StoreError
from sreclip.features import EXTRACTION_VERSION, FORMAT_VERSION
from sreclip.keys import content_key
from sreclip.sealed import MADE_BY

Dtype = Literal["float16", "float32"]
# Rounding to float16 moves each component by at most 2**-11 of itself, and so the length.
NORM_TOLERANCE = {"float16": 2e-3, "float32": 1e-3}
LIBRARIES = ("h5py", "numpy", "open_clip_torch", "pillow", "pillow-heif", "torch", "torchvision")


@dataclass(frozen=True)
class Provenance:
    """What the vectors were made with; see `sreclip.backbones.base.Backbone`.

    ``logit_scale`` and ``dim`` are not keyed: the weights decide them.
    """

    backbone: str
    weights_sha256: str
    network: str
    preprocessing: str
    precision: str  # number format of the forward pass
    dtype: str  # number format of the stored rows
    logit_scale: float
    dim: int

    @classmethod
    def of(cls, backbone: Backbone, dtype: Dtype, least_side: int = 0) -> Provenance:
        """Describe a backbone; ``least_side`` of reduced JPEG files, or 0."""
        reduced = f"; JPEG decoded at a reduced size of {least_side} or more" if least_side else ""
        return cls(
            backbone=backbone.label,
            weights_sha256=backbone.weights_sha256,
            network=backbone.network,
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
            self.network,
            self.preprocessing,
            self.precision,
            self.dtype,
            rows_key,
        )


@dataclass(frozen=True)
class Header(Provenance):
    """The attributes of a feature file: what made the vectors, and from which inputs."""

    kind: str  # ``images`` (one shard) or ``text``
    key: str
    rows_key: str  # hash of the inputs: manifest rows, or names and templates
    domain: str  # ``source`` or ``target``; empty in a text file
    extraction_version: int
    versions: Mapping[str, str]

    @classmethod
    def new(cls, kind: str, provenance: Provenance, rows_key: str, domain: str = "") -> Self:
        """Return the header of a file that is being written."""
        return cls(
            **asdict(provenance),
            kind=kind,
            key=provenance.file_key(kind, rows_key),
            rows_key=rows_key,
            domain=domain,
            extraction_version=EXTRACTION_VERSION,
            # Without importing the libraries.
            versions={"sreclip": sreclip.__version__} | installed_versions(LIBRARIES),
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
        """Compare attributes with the wanted values, by name; `StoreError` where one differs."""
        for name, wanted in expected.items():
            if (found := getattr(self, name)) != wanted:
                raise StoreError(
                    f"{path}: {name} is {found!r}, expected {wanted!r}; "
                    "it was made from other inputs or with other settings",
                    f"delete it and run: {MADE_BY[self.kind]}",
                )


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    versions = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def check_finite(backbone: Backbone, rows: NDArray[Any], names: Sequence[str]) -> None:
    """Raise `ConfigError` if the backbone made a row, ``(n_rows, dim)``, that is not finite."""
    finite = np.isfinite(rows).all(axis=1)
    if finite.all():
        return
    of = f"{backbone.label} gives numbers that are not finite for {names[int(finite.argmin())]!r}"
    if backbone.precision == "float32":
        raise ConfigError(of, "check that the weights are of this model, and not damaged")
    raise ConfigError(
        f"{of} in {backbone.precision}: the arithmetic overflows",
        "set the backbone's precision to bfloat16 or float32"
        if backbone.precision == "float16"
        else "set the backbone's precision to float32",
    )


def check_rows(rows: NDArray[Any], ok: NDArray[np.bool_], names: Sequence[str], path: Path) -> None:
    """Check the feature rows of a file, ``(n_rows, dim)``, which the error calls by ``names``.

    Raises `StoreError` if a row is not finite, not of unit length, or not zero though it must be.
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
