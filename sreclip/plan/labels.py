"""What target labels may decide, and the refusal where there is none."""

from __future__ import annotations

from sreclip.config.models import Params
from sreclip.errors import ConfigError

REFERENCE = "reference"


def refuse_missing_labels(params: Params, n_labels: int) -> None:
    """Raise `ConfigError` if the parameters let target labels choose, and there is none."""
    choosers = {
        "train.selection.rule: oracle": params.train.selection.rule == "oracle",
        f"evaluate.protocol: {REFERENCE}": params.evaluate.protocol == REFERENCE,
    }
    for setting, is_set in choosers.items():
        if is_set and not n_labels:
            raise ConfigError(
                f"{setting} chooses by target labels, and no target image has a label",
                "leave it out, or label some images with: sreclip label",
            )
