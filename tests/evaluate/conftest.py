"""Results trees of made-up logits, as for the report."""

from __future__ import annotations

from tests.report.conftest import make_results, plan

__all__ = ["make_results", "plan"]
