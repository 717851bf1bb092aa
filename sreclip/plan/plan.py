"""All results of one set of parameters: paths, content keys, and what is made from what.

Keys come from the parameters, the shards of the manifest and the class table alone, so that a plan
is cheap to make and needs no record of earlier runs: what is there under its key is up to date,
what is not there is to be made. Features, which are expensive, carry version numbers in their keys;
all later results carry a key of the code that makes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sreclip.config.models import Params
from sreclip.data import PREPARE_VERSION
from sreclip.data.label_file import labels_of
from sreclip.data.manifest import (
    DOMAINS,
    LABELS_FILE,
    MANIFEST_FILE,
    ClassEntry,
    Domain,
    read_classes,
    read_summary,
)
from sreclip.data.shards import SHARDS_FILE, Shard, find_shard, read_shards
from sreclip.files import expanded
from sreclip.keys import content_key
from sreclip.plan.code import ENTRIES, code_key
from sreclip.plan.fingerprints import Fingerprints, backbone_key, weights_sha256
from sreclip.plan.labels import REFERENCE, refuse_missing_labels
from sreclip.plan.method_code import fit_code
from sreclip.plan.prompts import BACKGROUND, Prompts, class_prompts, other_prompts
from sreclip.plan.results import COMPARISON_FILES, PAGE_FILES, Result
from sreclip.plan.split import known_mask

TEXT_KINDS = ("classes", "nodes")
# Settings of the comparison alone: another number of resamples evaluates nothing again.
BOOTSTRAP_SETTINGS = {"bootstrap", "bootstrap_seed"}

# What stays with another split, method or sweep.
_SHARED = {"task", "classes", "class_prompts", "hand_labels", "shards", "summary", "_images"}
_SHARED |= {"weights_sha256", "backbone_key"}


@dataclass(frozen=True)
class Plan:
    """The graph of results of one set of parameters.

    What comes after `task` needs the files of the prepared task and raises `StoreError` without
    them.
    """

    params: Params
    # The project: results are in its "results", copies in its "reports".
    folder: Path = Path()

    @property
    def results(self) -> Path:
        """Folder of all results."""
        return self.folder / "results"

    @property
    def reports(self) -> Path:
        """Folder of the published copies."""
        return self.folder / "reports"

    def changed(self, **sections: Any) -> Self:
        """Return the plan of the same task with other sections of the parameters."""
        plan = replace(self, params=self.params.model_copy(update=sections))
        if not {"task", "backbone", "features", "prompts"} & sections.keys():
            shared = _SHARED - ({"hand_labels"} if "evaluate" in sections else set())
            vars(plan).update({name: vars(self)[name] for name in shared & vars(self).keys()})
        return plan

    # What the parameters alone decide

    @cached_property
    def task(self) -> Result:
        """The prepared task: manifest, class table, shards, labels of the target."""
        task = self.params.task
        key = content_key(
            "task",
            PREPARE_VERSION,
            task.model_dump(include={"name", task.name, "duplicates", "shard_size"}),
        )
        path = self.results / "data" / f"{task.name}-{key}"
        files = (MANIFEST_FILE, "classes.json", SHARDS_FILE, "summary.json", LABELS_FILE)
        about: dict[str, Any] = {"task": task.name}
        if (path / "summary.json").exists():
            summary = read_summary(path)
            about |= {name: summary.get(name) for name in ("images", "classes", "root")}
        return Result("task", path, key, (), files, about)

    @property
    def hash_cache(self) -> Path:
        """Hashes of images by size and time, on the machine that prepared the task."""
        return self.results / "cache" / f"{self.task.path.name}.hashes.parquet"

    @property
    def outside_links(self) -> bool:
        """Whether links may lead out of the data root."""
        return bool(self.params.task.settings.get("outside_links"))

    @cached_property
    def fingerprints(self) -> Fingerprints:
        """Hashes of local weights by size and times, on this machine."""
        return Fingerprints(self.results / "cache" / "weights.json")

    @cached_property
    def weights_sha256(self) -> str | None:
        """SHA-256 of the backbone's local files; None if it has none."""
        return weights_sha256(self.params, self.fingerprints)

    @property
    def seen(self) -> Path:
        """What the images' folders looked like when this machine prepared the task."""
        return self.results / "cache" / f"{self.task.path.name}.seen.json"

    @cached_property
    def backbone_key(self) -> str:
        """Key of what the parameters and local weights say about features."""
        return backbone_key(self.params, self.weights_sha256)

    # What the files of the task decide

    @cached_property
    def classes(self) -> list[ClassEntry]:
        """Class table in label order."""
        return read_classes(self.task.path)

    @cached_property
    def shards(self) -> list[Shard]:
        """Shards of both domains."""
        return read_shards(self.task.path)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Counts, data root and credits of the task."""
        return read_summary(self.task.path)

    @property
    def ready(self) -> dict[str, Any]:
        """What the preparation noted of features that were made elsewhere; empty for images."""
        return dict(self.summary.get("ready", {}))

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Known classes, ``(n_classes,)``."""
        names = [entry.name for entry in self.classes]
        counts = self.summary["source_images"]
        return known_mask(names, [counts[name] for name in names], self.params.split)

    @property
    def unknown(self) -> list[str]:
        """Names of the unknown classes."""
        return [e.name for e, known in zip(self.classes, self.known, strict=True) if not known]

    @cached_property
    def hand_labels(self) -> dict[str, int]:
        """Labels by image of the file ``evaluate.labels``; see `sreclip.data.label_file`."""
        file = self.params.evaluate.labels
        return labels_of(expanded(file), [entry.name for entry in self.classes]) if file else {}

    @property
    def n_target_labels(self) -> int:
        """Target images with a label; one that has two labels counts twice."""
        return self.summary["target_labels"] + sum(x >= 0 for x in self.hand_labels.values())

    def shard(self, key: str) -> Shard:
        """Find a shard by its key."""
        return find_shard(self.task.path, self.shards, key)

    def domain_shards(self, domain: Domain) -> list[Shard]:
        """Shards of one domain, in row order."""
        return [shard for shard in self.shards if shard.domain == domain]

    def rows_key(self, domain: Domain) -> str:
        """Key of the rows of a domain."""
        return content_key("rows", [shard.key for shard in self.domain_shards(domain)])

    # Features and graph

    @cached_property
    def _images(self) -> dict[str, Result]:
        features = self.params.features
        return {
            shard.key: Result(
                "shard",
                self.feature_dir / f"images/{shard.key}.h5",
                shard.key,
                (self.task,),
                about={
                    "backbone": self.params.backbone.label,
                    "dtype": features.dtype,
                    "domain": shard.domain,
                    "rows": [shard.start, shard.stop],
                },
            )
            for shard in self.shards
        }

    def shard_features(self, key: str) -> Result:
        """Image features of one shard."""
        return self._images[self.shard(key).key]

    def images(self, domain: Domain) -> list[Result]:
        """Image features of a domain, one file per shard, in row order."""
        return [self._images[shard.key] for shard in self.domain_shards(domain)]

    @property
    def feature_dir(self) -> Path:
        """Folder of all features of the backbone."""
        return self.results / "features" / f"{self.params.backbone.label}-{self.backbone_key}"

    @cached_property
    def graph(self) -> Result:
        """The relation graph and the WordNet similarities of the classes."""
        graph = self.params.graph
        needs_text = any(
            entry.wnid is None and entry.name not in graph.senses for entry in self.classes
        )
        key = content_key(
            "graph",
            [(entry.name, entry.wnid) for entry in self.classes],
            graph.model_dump(exclude={"text_weight"}),
            self.backbone_key if needs_text else None,
            code_key(ENTRIES["graph"]),
            *([self.ready["texts"]] if self.ready and needs_text else []),
        )
        path = self.results / "graph" / f"{self.params.task.name}-{key}"
        files, about = ("graph.json", "similarity.h5"), {"similarity": graph.similarity}
        return Result("graph", path, key, (self.task,), files, about)

    @cached_property
    def class_prompts(self) -> Prompts:
        """Texts of the classes; the file of prompts is read for them."""
        return class_prompts(self.params, self.ready, self.classes)

    def text(self, kind: str) -> Result:
        """Text features of ``classes``, ``nodes`` or the ``background``."""
        source = self.graph if kind == "nodes" else self.task
        prompts = self.class_prompts if kind == "classes" else other_prompts(self.params, kind)
        names = source.key if kind == "nodes" else prompts.names
        texts = [self.ready["texts"]] if self.ready else []
        key = content_key(kind, prompts.templates, names, *texts, *prompts.own)
        about = {"backbone": self.params.backbone.label} | prompts.about
        path = self.feature_dir / f"text/{kind}-{key}.h5"
        return Result(f"text of {kind}", path, key, (source,), about=about)

    @property
    def background(self) -> tuple[Result, ...]:
        """Texts for images of none of the classes: one result, or none where there are none."""
        return (self.text(BACKGROUND),) if self.params.prompts.background else ()

    @cached_property
    def features(self) -> tuple[Result, ...]:
        """All that the features phase makes and a fit reads."""
        images = [result for domain in DOMAINS for result in self.images(domain)]
        return (*images, *(self.text(kind) for kind in TEXT_KINDS))

    # Fits and what comes after

    def candidates(self, method: str) -> list[Self]:
        """Plans of the fits that evaluation chooses from: one, except with the rule ``oracle``."""
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

    def fit(self, method: str) -> Result:
        """A method's fits with all seeds."""
        train = self.params.train
        settings = self.params.methods.settings(method).model_dump()
        candidates = self.pseudo_candidates(method)
        selection = train.selection.model_dump(include={"folds", "holdout", "seed"})
        key = content_key(
            "fit",
            method,
            settings,
            [candidates, selection] if candidates else None,
            train.seeds,
            self.known.tolist(),
            self.summary["source_labels_key"],
            self.backbone_key,
            [self.rows_key(domain) for domain in DOMAINS],
            [self.text(kind).key for kind in TEXT_KINDS],
            self.params.graph.text_weight,
            fit_code(method),
            *([train.checkpoints] if train.checkpoints else []),
        )
        return Result(
            "fit",
            self.under("models", f"{method}-{key}"),
            key,
            (*self.features, self.graph, self.task),
            ("scores.h5", "model.safetensors", "fit.json"),
            {
                "method": method,
                "seeds": train.seeds,
                "unknown": self.unknown,
                "settings": settings,
            },
        )

    def evaluation(self, method: str) -> Result:
        """A method's metrics and predictions; see `refuse_missing_labels`."""
        refuse_missing_labels(self.params, self.n_target_labels)
        fits = tuple(plan.fit(method) for plan in self.candidates(method))
        evaluate, rule = self.params.evaluate, self.params.train.selection.rule
        key = content_key(
            "evaluation",
            rule,
            [fit.key for fit in fits],
            evaluate.model_dump(exclude=BOOTSTRAP_SETTINGS | {"labels"}),
            self.summary["target_labels_key"],
            code_key(ENTRIES["evaluation"]),
            *([sorted(self.hand_labels.items())] if self.hand_labels else []),
        )
        # The authors' way of evaluating scores the states of a fit again.
        again = (*self.features, self.graph) if evaluate.protocol == REFERENCE else ()
        return Result(
            "evaluation",
            self.under("evaluations", f"{method}-{key}"),
            key,
            (*fits, *again, self.task),
            ("evaluation.json", "predictions.parquet"),
            {"method": method, "selection": rule, "protocol": evaluate.protocol},
        )

    @cached_property
    def comparison(self) -> Result:
        """The table over all methods of the run."""
        methods, evaluate = self.params.methods.run, self.params.evaluate
        evaluations = tuple(self.evaluation(name) for name in methods)
        key = content_key(
            "comparison",
            [evaluation.key for evaluation in evaluations],
            evaluate.model_dump(include=BOOTSTRAP_SETTINGS),
            code_key(ENTRIES["comparison"]),
        )
        path = self.under("comparisons", key)
        about = {"methods": methods, "bootstrap": evaluate.bootstrap}
        return Result("comparison", path, key, evaluations, COMPARISON_FILES, about)

    @cached_property
    def page(self) -> Result:
        """The page before it is published."""
        settings = self.params.report.model_dump(exclude={"model"})
        more, code = [text.key for text in self.background], code_key(ENTRIES["page"])
        key = content_key("report", self.comparison.key, settings, code, *more)
        inputs = (self.comparison, *self.background)
        inputs += (self.text("classes"), *self.images("target")) if more else ()
        path, about = self.under("pages", key), {"title": self.params.report.title}
        return Result("page", path, key, inputs, PAGE_FILES, about)

    @cached_property
    def publication(self) -> Result:
        """The stamp that says which results ``reports/`` holds."""
        path = self.reports / "made-from" / f"{self.page.key}.json"
        return Result("published report", path, self.page.key, (self.comparison, self.page))

    def run(self) -> Iterator[Result]:
        """Yield all results of the run, each after what it is made from."""
        yield self.task
        yield self.graph
        yield from (*self.features, *self.background)
        for method in self.params.methods.run:
            yield from self.evaluated(method)
        yield from (self.comparison, self.page, self.publication)

    def evaluated(self, method: str) -> Iterator[Result]:
        """Yield the fits of a method and their evaluation."""
        yield from (plan.fit(method) for plan in self.candidates(method))
        yield self.evaluation(method)

    def under(self, stage: str, leaf: str) -> Path:
        """Return where a result of this task and backbone is."""
        return self.results / stage / self.params.task.name / self.params.backbone.label / leaf
