"""Where every result lives: a path whose key says what the result was made from.

Keys come from the parameters, the manifest's shards and the class table alone, so that a plan is
cheap to make and needs no record of earlier runs: what is there under its key is up to date, what
is not there is to be made. Features carry version numbers in their keys; cheap results carry a
hash of the code that makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sreclip.config.models import Params
from sreclip.data import PREPARE_VERSION
from sreclip.data.manifest import DOMAINS, ClassEntry, Domain, read_classes, read_summary
from sreclip.data.shards import SHARDS_FILE, Shard, read_shards
from sreclip.errors import DataError
from sreclip.features import EXTRACTION_VERSION, FORMAT_VERSION
from sreclip.keys import code_key, content_key
from sreclip.plan.split import known_mask

TEXT_KINDS = ("classes", "nodes")

# Weights that come with the package: a new release of them must not meet older features.
SHIPPED_WEIGHTS = {"mini": ("backbones/mini_map.safetensors",)}
GRAPH_CODE = tuple(
    f"graph/{name}.py"
    for name in ("adjacency", "build", "compact", "relation", "relation_graph", "senses", "wordnet")
)
FIT_CODE = (
    "methods/calibration.py",
    "train/states.py",
    "train/inputs.py",
    "methods/losses.py",
    "methods/adapters.py",
    "methods/base.py",
    "methods/blocks.py",
    "refinement/candidates.py",
    "refinement/neighbours.py",
    "refinement/pairs.py",
    "refinement/refine.py",
    "refinement/transclip.py",
    "refinement/zlap.py",
    "methods/scores.py",
    "train/selection.py",
    "train/fits.py",
)
# What a method needs beside its own file and FIT_CODE.
METHOD_CODE = {
    "bgcn": ("methods/gcn_zsl.py", "methods/sre_clip_reference.py"),
    "gcn_zsl": ("methods/sre_clip_reference.py",),
    "linear_probe": ("methods/tip_adapter.py",),
    "tip_adapter_f": ("methods/tip_adapter.py",),
    "transclip": ("methods/transductive.py",),
    "tsce": ("methods/bgcn.py", "methods/gcn_zsl.py", "methods/sre_clip_reference.py"),
    "uodtn": ("methods/bgcn.py", "methods/gcn_zsl.py", "methods/sre_clip_reference.py"),
    "zlap": ("methods/transductive.py", "refinement/zlap.py"),
}
EVALUATE_CODE = (
    "evaluate/evaluation.py",
    "evaluate/metrics.py",
    "evaluate/reference.py",
    "methods/scores.py",
    "evaluate/statistics.py",
)
COMPARE_CODE = (
    "evaluate/comparison.py",
    "evaluate/literature.py",
    "evaluate/reference.py",
    "evaluate/significance.py",
    "evaluate/statistics.py",
)
# Settings of the comparison alone: another number of resamples evaluates nothing again.
BOOTSTRAP_SETTINGS = {"bootstrap", "bootstrap_seed"}
REPORT_CODE = tuple(
    sorted(
        path.relative_to(Path(__file__).parents[1]).as_posix()
        for path in (Path(__file__).parents[1] / "report").rglob("*")
        if path.suffix in (".py", ".j2", ".css")
    )
)


def fit_code(method: str) -> tuple[str, ...]:
    """Modules whose code decides a method's fits."""
    return (f"methods/{method}.py", *FIT_CODE, *METHOD_CODE.get(method, ()))


@dataclass(frozen=True)
class Plan:
    """Paths of all results of one set of parameters.

    Attributes beyond ``task_dir`` need the task's files and raise `StoreError` without them.
    """

    params: Params
    results: Path = Path("results")
    reports: Path = Path("reports")

    def changed(self, **sections: Any) -> Self:
        """Give the plan of the same task with other sections of the parameters."""
        plan = replace(self, params=self.params.model_copy(update=sections))
        if plan.task_dir == self.task_dir:
            for name in ("classes", "shards", "summary"):
                if name in vars(self):
                    vars(plan)[name] = vars(self)[name]
        return plan

    # What the parameters alone decide

    @cached_property
    def task_dir(self) -> Path:
        """Folder with the manifest, the class table, the shards and the label file."""
        task = self.params.task
        key = content_key(
            "task",
            PREPARE_VERSION,
            task.model_dump(include={"name", task.name, "duplicates", "shard_size"}),
        )
        return self.results / "data" / f"{task.name}-{key}"

    @property
    def hash_cache(self) -> Path:
        """Hashes of pictures by size and time, on the machine that prepared the task."""
        return self.results / "cache" / f"{self.task_dir.name}.hashes.parquet"

    @cached_property
    def backbone_key(self) -> str:
        """Key of what the parameters say about features."""
        backbone, features = self.params.backbone, self.params.features
        return content_key(
            "backbone",
            EXTRACTION_VERSION,
            FORMAT_VERSION,
            backbone.model_dump(include={"name", backbone.name}),
            features.model_dump(include={"dtype", "max_pixels", "reduced_jpeg"}),
            code_key(*SHIPPED_WEIGHTS.get(backbone.name, ())),
        )

    @cached_property
    def feature_dir(self) -> Path:
        """Folder of all features of this backbone."""
        return self.results / "features" / f"{self.params.backbone.label}-{self.backbone_key}"

    # What the task's files decide

    @cached_property
    def classes(self) -> list[ClassEntry]:
        """Class table in label order."""
        return read_classes(self.task_dir)

    @cached_property
    def shards(self) -> list[Shard]:
        """Shards of both domains."""
        return read_shards(self.task_dir)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Counts, data root and credits of the task."""
        return read_summary(self.task_dir)

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Known classes, ``(n_classes,)``."""
        names = [entry.name for entry in self.classes]
        counts = self.summary["source_images"]
        return known_mask(names, [counts[name] for name in names], self.params.split)

    def shard(self, rows_key: str) -> Shard:
        """Find a shard by its key."""
        for shard in self.shards:
            if shard.key == rows_key:
                return shard
        raise DataError(
            f"no shard of {self.task_dir} has the key {rows_key!r}",
            f"the keys are in {self.task_dir / SHARDS_FILE}",
        )

    def domain_shards(self, domain: Domain) -> list[Shard]:
        """Shards of one domain, in row order."""
        return [shard for shard in self.shards if shard.domain == domain]

    def image_features(self, rows_key: str) -> Path:
        """Feature file of one shard."""
        return self.feature_dir / "images" / f"{rows_key}.h5"

    def domain_features(self, domain: Domain) -> list[Path]:
        """Feature files of a domain's shards, in row order."""
        return [self.image_features(shard.key) for shard in self.domain_shards(domain)]

    def rows_key(self, domain: Domain) -> str:
        """Key of a domain's rows."""
        return content_key("rows", [shard.key for shard in self.domain_shards(domain)])

    def joined_features(self, domain: Domain) -> Path:
        """Virtual file over a domain's shards; it exists when not too many were rejected."""
        key = content_key("joined", self.rows_key(domain), self.params.features.max_rejects)
        return self.feature_dir / "joined" / f"{domain}-{key}.h5"

    @cached_property
    def graph_key(self) -> str:
        """Key of the relation graph and the WordNet similarities."""
        graph = self.params.graph
        needs_text = any(
            entry.wnid is None and entry.name not in graph.senses for entry in self.classes
        )
        return content_key(
            "graph",
            [(entry.name, entry.wnid) for entry in self.classes],
            graph.model_dump(exclude={"text_weight"}),
            self.backbone_key if needs_text else None,
            code_key(*GRAPH_CODE),
        )

    @cached_property
    def graph_dir(self) -> Path:
        """Folder with ``graph.json`` and ``similarity.safetensors``."""
        return self.results / "graph" / f"{self.params.task.name}-{self.graph_key}"

    def text_key(self, kind: str) -> str:
        """Key of the text vectors of classes or nodes."""
        templates = self.params.prompts.templates
        if kind == "nodes":
            return content_key("nodes", templates, self.graph_key)
        return content_key("classes", templates, [entry.prompt_names for entry in self.classes])

    def text_features(self, kind: str) -> Path:
        """Text vectors of ``classes`` or ``nodes``."""
        return self.feature_dir / "text" / f"{kind}-{self.text_key(kind)}.h5"

    def all_features(self) -> list[Path]:
        """Everything that the features phase makes and a fit reads."""
        return [
            *(path for domain in DOMAINS for path in self.domain_features(domain)),
            *(self.joined_features(domain) for domain in DOMAINS),
            *(self.text_features(kind) for kind in TEXT_KINDS),
        ]

    # Fits and what comes after

    def candidates(self, method: str) -> list[Self]:
        """Plans of the fits that evaluation chooses from: one, but for the rule ``oracle``."""
        selection = self.params.train.selection
        if selection.rule != "oracle" or method not in selection.candidates:
            return [self]
        train = self.params.train.model_copy(update={"selection": type(selection)()})
        return [
            self.changed(methods=self.params.methods.changed(method, overrides), train=train)
            for overrides in selection.candidates[method]
        ]

    def pseudo_candidates(self, method: str) -> list[Mapping[str, Any]]:
        """Settings that the fit itself chooses from, by the rule ``pseudo_unknown``."""
        selection = self.params.train.selection
        if selection.rule != "pseudo_unknown":
            return []
        return list(selection.candidates.get(method, []))

    def model_key(self, method: str) -> str:
        """Key of a method's fits."""
        candidates = self.pseudo_candidates(method)
        selection = self.params.train.selection.model_dump(include={"folds", "holdout", "seed"})
        checkpoints = self.params.train.checkpoints
        return content_key(
            "fit",
            method,
            self.params.methods.settings(method).model_dump(),
            [candidates, selection] if candidates else None,
            self.params.train.seeds,
            self.known.tolist(),
            self.summary["source_labels_key"],
            self.backbone_key,
            [self.rows_key(domain) for domain in DOMAINS],
            [self.text_key(kind) for kind in TEXT_KINDS],
            self.params.graph.text_weight,
            code_key(*fit_code(method)),
            *([checkpoints] if checkpoints else []),
        )

    def model_dir(self, method: str) -> Path:
        """Folder with ``scores.h5``, ``model.safetensors`` and ``fit.json``."""
        return self._under("models", f"{method}-{self.model_key(method)}")

    def evaluation_key(self, method: str) -> str:
        """Key of a method's metrics."""
        return content_key(
            "evaluation",
            self.params.train.selection.rule,
            [plan.model_key(method) for plan in self.candidates(method)],
            self.params.evaluate.model_dump(exclude=BOOTSTRAP_SETTINGS),
            self.summary["target_labels_key"],
            code_key(*EVALUATE_CODE),
        )

    def evaluation_dir(self, method: str) -> Path:
        """Folder with ``evaluation.json`` and ``predictions.parquet``."""
        return self._under("evaluations", f"{method}-{self.evaluation_key(method)}")

    @cached_property
    def comparison_key(self) -> str:
        """Key of the table over all methods."""
        methods = self.params.methods.run
        return content_key(
            "comparison",
            [self.evaluation_key(name) for name in methods],
            self.params.evaluate.model_dump(include=BOOTSTRAP_SETTINGS),
            code_key(*COMPARE_CODE),
        )

    @cached_property
    def comparison_dir(self) -> Path:
        """Folder with ``metrics.json``, ``results.csv`` and the plots' tables."""
        return self._under("comparisons", self.comparison_key)

    @cached_property
    def report_key(self) -> str:
        """Key of the page."""
        return content_key(
            "report", self.comparison_key, self.params.report.model_dump(), code_key(*REPORT_CODE)
        )

    @cached_property
    def page(self) -> Path:
        """The page before it is published."""
        return self._under("pages", self.report_key) / "index.html"

    @cached_property
    def stamp(self) -> Path:
        """The file that says which results ``reports/`` holds."""
        return self.reports / "made-from" / f"{self.report_key}.json"

    def sweep_dir(self, key: str) -> Path:
        """Folder with ``sweep.parquet`` and ``sweep.csv``."""
        return self._under("sweeps", key)

    def _under(self, stage: str, leaf: str) -> Path:
        return self.results / stage / self.params.task.name / self.params.backbone.label / leaf
