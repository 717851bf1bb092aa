"""Features as one plain file for other programs; target labels are never in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sreclip.data.manifest import DOMAINS, read_manifest
from sreclip.data.place import image_names
from sreclip.errors import ConfigError
from sreclip.features.header import Header
from sreclip.features.planned import open_domain, read_names
from sreclip.features.rows import FeatureRows
from sreclip.files import atomic_path
from sreclip.plan.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 1 << 13
# The safetensors library refuses a longer header.
MOST_METADATA = 100_000_000
_TYPES = {"float16": "F16", "float32": "F32", "int64": "I64", "bool": "BOOL"}


class _Table:
    """Features ``(n, dim)``, the columns of their rows, and what made them."""

    def __init__(
        self, features: FeatureRows | NDArray[np.float32], rows: pd.DataFrame, header: Header
    ) -> None:
        self.features, self.rows = features, rows
        numbers = rows.select_dtypes(["number", "bool"])
        self.numbers = {str(name): column.to_numpy() for name, column in numbers.items()}
        self.texts = {
            str(name): rows[name].tolist()
            for name in rows.columns.difference(numbers.columns, sort=False)
        }
        names = ("backbone", "weights_sha256", "preprocessing", "precision", "logit_scale")
        self.about = {name: str(getattr(header, name)) for name in names}

    def chunks(self) -> Iterator[NDArray[Any]]:
        for start in range(0, len(self.features), CHUNK):
            yield self.features[start : start + CHUNK]


def export_features(plan: Plan, what: str, out: Path) -> list[Path]:
    """Write features and their rows, a part at a time, and return the paths of the files.

    ``what`` is ``source``, ``target``, ``classes`` or ``nodes``; the suffix of ``out`` decides the
    format. ``.h5``: the data sets ``features``, ``row_id``, ``path``, ``domain``, ``ok`` and, of
    the source, ``label``; of texts ``features`` and ``name``. ``.npy``: the features, and beside it
    a ``.parquet`` with the other columns. ``.safetensors``: tensors of the numbers, and the texts
    as JSON lists in the metadata.

    Raises `ConfigError` if the path has another suffix, or a safetensors file cannot hold so many
    paths; `StoreError` if a feature file is missing or damaged, or the file cannot be written.
    """
    writers = {".h5": _write_hdf5, ".npy": _write_npy, ".safetensors": _write_safetensors}
    if out.suffix not in writers:
        raise ConfigError(f"{out}: the file must end in {', '.join(writers)}")
    return writers[out.suffix](_table(plan, what), out)


def _table(plan: Plan, what: str) -> _Table:
    import pandas as pd

    if what not in DOMAINS:
        text = read_names(plan, what)
        return _Table(text.features, pd.DataFrame({"name": text.names}), text.header)
    images, shards = open_domain(plan, what), plan.domain_shards(what)
    wanted = ["row_id", "path", "member", "label"]
    manifest = read_manifest(plan.task.path, wanted)[shards[0].start : shards[-1].stop]
    rows = manifest[["row_id"]].assign(path=image_names(manifest), domain=what, ok=images.ok)
    if what == "source":
        rows["label"] = manifest["label"].to_numpy(dtype=np.int64)
    return _Table(images.features, rows, images.header)


def _write_hdf5(table: _Table, out: Path) -> list[Path]:
    with atomic_path(out) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(table.about)
        features = file.create_dataset("features", table.features.shape, table.features.dtype)
        for number, chunk in enumerate(table.chunks()):
            features[number * CHUNK : number * CHUNK + len(chunk)] = chunk
        for name, values in (table.numbers | table.texts).items():
            file[name] = values
    return [out]


def _write_npy(table: _Table, out: Path) -> list[Path]:
    features, rows = table.features, out.with_suffix(".parquet")
    descr = np.lib.format.dtype_to_descr(features.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": features.shape}
    with atomic_path(rows) as beside, atomic_path(out) as temporary:
        table.rows.to_parquet(beside, index=False)
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for chunk in table.chunks():
                file.write(chunk.tobytes())
    return [out, rows]


def _write_safetensors(table: _Table, out: Path) -> list[Path]:
    numbers = table.numbers
    texts = {name: json.dumps(values) for name, values in table.texts.items()}
    header: dict[str, Any] = {"__metadata__": table.about | texts}
    end = 0
    for name, values in {"features": table.features, **numbers}.items():
        start, end = end, end + values.dtype.itemsize * int(np.prod(values.shape))
        kind = _TYPES[str(values.dtype)]
        header[name] = {"dtype": kind, "shape": values.shape, "data_offsets": [start, end]}
    content = json.dumps(header).encode()
    content += b" " * (-len(content) % 8)
    if len(content) > MOST_METADATA:
        raise ConfigError(
            f"{out}: {len(content):,} bytes of names and paths are more than a safetensors file "
            f"holds ({MOST_METADATA:,})",
            "write .h5 or .npy instead",
        )
    with atomic_path(out) as temporary, temporary.open("wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        for chunk in table.chunks():
            file.write(chunk.tobytes())
        for values in numbers.values():
            file.write(values.tobytes())
    return [out]
