"""What fits and evaluations may cost, roughly: it decides where jobs are cut, and no number."""

from __future__ import annotations

from sreclip.config.method import Settings
from sreclip.plan.plan import Plan

# Seconds per step on one core with 50 classes (docs/performance.md); a method that is not named
# here costs a lot, rather than too little.
STEP = {
    "clip_adapter": 0.004,
    "taskres": 0.002,
    "tip_adapter_f": 0.005,
    "gcn_zsl": 0.03,
    "bgcn": 0.03,
    "uodtn": 0.04,
    "tsce": 0.05,
    "sre_clip": 0.025,
}
OTHER_STEP = 0.08
# Multiplications per second, and passes over all logits of a fit that looks at all target images.
RATE = 1e11
DIM = 512
PASSES = 50
# Reading, scoring and writing of one fit or one evaluation.
LEAST = 0.1


def fit_seconds(plan: Plan, method: str) -> float:
    """Return about how long a method's fits take, with all seeds, on one core."""
    settings, train = plan.params.methods.settings(method), plan.params.train
    candidates = len(plan.pseudo_candidates(method))
    steps = _steps(settings)
    n_fits = (len(train.seeds) if steps else 1) + candidates * train.selection.folds
    images, n_classes = plan.summary["images"], len(plan.classes)
    logits = images["target"] * n_classes * DIM / RATE
    per_fit = LEAST + logits
    if method == "inmap":
        per_fit += 3 * steps * logits
    elif method == "linear_probe":
        per_fit += 100 * PASSES * images["source"] * int(plan.known.sum()) * DIM / RATE
    else:
        per_fit += steps * STEP.get(method, OTHER_STEP) * max(0.3, n_classes / 50)
    # Nothing is to be known here of what a method looks at; beside its steps this is little.
    neighbours = images["target"] * min(images["target"], 1 << 15) * DIM / RATE
    rounds = 1 + len(settings.refine) + int(getattr(settings, "rounds", 0) > 0)
    return n_fits * (per_fit + rounds * (PASSES * logits + neighbours))


def evaluation_seconds(plan: Plan) -> float:
    """Return about how long the evaluation of one method takes."""
    images = plan.summary["images"]["target"]
    return LEAST + len(plan.params.train.seeds) * images * 1e-5


def _steps(settings: Settings) -> int:
    """Return how many steps a fit takes: 0 where nothing is trained."""
    rounds = 1 + getattr(settings, "rounds", 0)
    passes = 10 * getattr(settings, "epochs", 0)
    return int(
        getattr(settings, "steps", 0) * rounds + getattr(settings, "regression_steps", 0) + passes
    )
