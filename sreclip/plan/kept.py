"""The model that a run keeps as a folder, if the parameters ask for one."""

from __future__ import annotations

from sreclip.keys import content_key
from sreclip.plan.code import ENTRIES, code_key
from sreclip.plan.plan import Plan
from sreclip.plan.results import Result

# As the folder is written: what makes it a model comes last.
FILES = ("model.safetensors", "README.md", "model.json")


def kept(plan: Plan) -> list[Result]:
    """Return the saved model of a run; none where ``report.model`` is null."""
    method = plan.params.report.model
    if method is None:
        return []
    results = tuple(plan.evaluated(method))
    key = content_key(
        "model",
        results[-1].key,
        plan.params.backbone.chosen.model_dump(mode="json"),
        plan.summary.get("credits", ""),
        code_key(ENTRIES["model"]),
    )
    inputs = (*results, plan.text("classes"), *plan.images("target"))
    path = plan.under("kept", f"{method}-{key}")
    return [Result("saved model", path, key, inputs, FILES, {"method": method})]
