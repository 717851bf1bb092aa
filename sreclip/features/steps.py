"""Extraction steps of the pipeline: from the plan's paths to calls of the feature code."""

from __future__ import annotations

from pathlib import Path

from sreclip.data.manifest import MADE_BY, MANIFEST_FILE, Domain, read_manifest_part
from sreclip.data.shards import shard_key
from sreclip.errors import StoreError
from sreclip.plan.plan import Plan


def extract_shard(
    plan: Plan, rows_key: str, *, threads: int | None = None, progress: bool = True
) -> Path:
    """Encode the pictures of one shard, on ``threads`` cores or on all."""
    from sreclip.features.extract import extract_images

    shard = plan.shard(rows_key)
    features = plan.params.features
    out = plan.image_features(rows_key)
    rows = read_manifest_part(plan.task_dir, shard.start, shard.stop)
    if shard_key(rows) != rows_key:
        raise StoreError(
            f"rows {shard.start} to {shard.stop} of {plan.task_dir / MANIFEST_FILE} are not those "
            f"of shard {rows_key}",
            f"delete the manifest and run: {MADE_BY}",
        )
    extract_images(
        rows,
        Path(plan.summary["root"]),
        plan.params.backbone.load(features.device),
        out,
        rows_key=rows_key,
        dtype=features.dtype,
        batch_size=features.batch_size,
        workers=features.workers,
        max_pixels=features.max_pixels,
        reduced_jpeg=features.reduced_jpeg,
        limit_s=features.decode_limit,
        threads=threads,
        progress=progress,
    )
    return out


def join_domain(plan: Plan, domain: Domain) -> Path:
    """Join a domain's shards into one virtual file, if not too many pictures were rejected."""
    from sreclip.features.expected import expected_shard
    from sreclip.features.join import join_shards
    from sreclip.features.rejects import check_rejects
    from sreclip.features.store import open_images

    for shard in plan.domain_shards(domain):
        open_images(plan.image_features(shard.key), expected_shard(plan, shard)).close()
    out, shards = plan.joined_features(domain), plan.domain_features(domain)
    check_rejects(shards, plan.params.features.max_rejects)
    join_shards(out, shards)
    return out


def extract_names(plan: Plan, kind: str) -> Path:
    """Encode class names or node names with every template."""
    from sreclip.features.expected import text_names
    from sreclip.features.text import extract_text

    names, prompt_names = text_names(plan, kind)
    out = plan.text_features(kind)
    backbone = plan.params.backbone.load(plan.params.features.device)
    extract_text(names, prompt_names, plan.params.prompts.templates, backbone, out)
    return out
