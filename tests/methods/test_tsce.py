"""TSCE: where it starts, its terms and steps."""

from __future__ import annotations

from typing import Any

import torch

from sreclip.methods.gcn_zsl import GcnZsl
from sreclip.methods.tsce import Tsce

TSCE = {"gcn_width": 8, "batch_size": 15, "bank_size": 30, "regression_steps": 20}


def test_tsce_starts_from_the_frozen_features_and_the_regressed_gcn(
    problem: dict[str, Any],
) -> None:
    method = Tsce(**TSCE, steps=0).fit(**problem)
    same = GcnZsl(gcn_width=8, steps=20).fit(**problem)
    torch.testing.assert_close(method.prototypes_, same.classifiers_)
    torch.testing.assert_close(
        method.logits(problem["target_features"]),
        20 * problem["target_features"] @ same.classifiers_.T,
        rtol=1e-4,
        atol=1e-4,
    )


def test_tsce_terms_weights_and_steps(problem: dict[str, Any]) -> None:
    method = Tsce(**TSCE, steps=5).fit(**problem)
    assert [record["step"] for record in method.history_] == list(range(1, 26))
    assert [set(record) - {"step"} for record in method.history_[:20]] == [{"regression"}] * 20
    first = {"cross_entropy", "rank", "entropy"}
    later = first | {"diversity", "balance"}
    # The bank of 30 is full after two batches of 15.
    assert [set(record) - {"step"} for record in method.history_[20:]] == [first] * 2 + [later] * 3
    chosen = method.settings
    assert (chosen.source, chosen.rank, chosen.entropy) == (1.0, 10.0, 5.0)
    assert (chosen.relation, chosen.warmup_steps) == (0.0, 0)
    assert method.baseline
