"""Where `sre_clip` places classes, and how far it goes from the frozen model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from scipy.special import log_softmax

from sreclip.methods.data import ClassGraph, ClassText, FitData
from sreclip.methods.source_evidence import UNJUDGED_WEIGHT, WEIGHTS
from sreclip.methods.sre_clip import SreClip
from sreclip.methods.taught_texts import taught_texts

DIM, CLASSES, UNKNOWN, SCALE = 24, 8, 3, 12.0
PLAIN: dict[str, Any] = {
    "taught": 0.0,
    "placements": 1,
    "class_bias": 0.0,
    "relation_images": 0.0,
    "pull": 0.0,
    "calibrated": False,
    "full_transfer": 0.0,
    "sharpness": 1.0,
}


def planted(
    *,
    shots: int = 12,
    counts: list[int] | None = None,
    shift: float = 0.3,
    unlike: float = 0.0,
    seed: int = 0,
) -> tuple[dict[str, Any], np.ndarray]:
    """Return the inputs of a fit, and the target's labels.

    Texts point only roughly to where the images of their class lie; the target is shifted, and with
    ``unlike`` each class of the source lies somewhere of its own.
    """
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    centres = F.normalize(noise(CLASSES, DIM), dim=1)
    text = F.normalize(centres + 0.3 * noise(CLASSES, DIM), dim=1)
    source_labels = torch.arange(CLASSES - UNKNOWN).repeat_interleave(shots)
    target_labels = torch.repeat_interleave(
        torch.arange(CLASSES), torch.tensor(counts or [40] * CLASSES)
    )
    own = unlike * F.normalize(noise(CLASSES, DIM), dim=1)
    away = shift * F.normalize(noise(1, DIM), dim=1)
    within = 0.25
    source = (centres + own)[source_labels] + within * noise(len(source_labels), DIM)
    target = centres[target_labels] + away + within * noise(len(target_labels), DIM)
    nodes = torch.arange(CLASSES)
    graph = ClassGraph(
        text,
        torch.eye(CLASSES).to_sparse(),
        torch.stack([nodes[1:], nodes[:-1]], dim=1),
        nodes,
        (centres @ centres.T + 1) / 2,
    )
    known = nodes < CLASSES - UNKNOWN
    data = {
        "source_features": F.normalize(source, dim=1),
        "source_labels": source_labels,
        "target_features": F.normalize(target, dim=1),
        "text": ClassText(text, SCALE, known),
        "graph": graph,
    }
    return data, target_labels.numpy()


def right(data: dict[str, Any], labels: np.ndarray, **settings: Any) -> tuple[float, float]:
    """Return the class-mean accuracies of the method and of the frozen model, in percent."""
    target = data["target_features"]
    logits = SreClip(**settings).fit(**data).logits(target)
    found = []
    for values in (logits, data["text"].zero_shot_logits(target)):
        correct = values.argmax(dim=1).numpy() == labels
        found.append(100 * np.mean([correct[labels == c].mean() for c in np.unique(labels)]))
    return found[0], found[1]


def test_one_placement_in_numpy() -> None:
    data, _ = planted()
    source, target, text = (
        values.double().numpy()
        for values in (data["source_features"], data["target_features"], data["text"].features)
    )
    labels, known = data["source_labels"].numpy(), data["text"].known.numpy()
    n_known = int(known.sum())
    means = np.stack([source[labels == c].mean(axis=0) for c in range(n_known)])
    away = source - means[labels]
    n = len(source) - n_known
    covariance = away.T @ away / n
    shrunk = ((n - 1) * covariance + np.trace(covariance) * np.eye(DIM)) / (n - 1 + DIM)
    precision = np.linalg.inv(shrunk)

    def gaussian(image: np.ndarray, mean: np.ndarray, count: float) -> float:
        return -count / (count + 1) / 2 * (image - mean) @ precision @ (image - mean)

    def volume(count: float) -> float:
        return 0.2 * DIM / 2 * np.log((count + 1) / count)

    losses = []
    for image, label in enumerate(labels):
        others = np.arange(len(source)) != image
        kept = [source[others & (labels == c)] for c in range(n_known)]
        g = np.array([gaussian(source[image], rows.mean(axis=0), len(rows)) for rows in kept])
        logits = SCALE * text[:n_known] @ source[image]
        losses.append([-log_softmax(logits + weight * g)[label] for weight in WEIGHTS])
    table = np.array(losses)
    worse = table - table[:, [table.mean(axis=0).argmin()]]
    allowed = worse.std(axis=0, ddof=1) / np.sqrt(len(source))
    held_out = WEIGHTS[int((worse.mean(axis=0) <= allowed).argmax())]

    p = np.exp(log_softmax(SCALE * target @ text.T, axis=1))
    counts, target_means = p.sum(axis=0), p.T @ target / p.sum(axis=0)[:, None]
    shared = np.minimum(np.bincount(labels), counts[:n_known])
    shift = shared @ (target_means[:n_known] - means) / shared.sum()
    placed = np.concatenate([means + shift, target_means[n_known:]])
    certain = np.concatenate([np.bincount(labels), counts[n_known:]])
    per_class = len(target) / CLASSES
    weight = min(0.5 * held_out, 0.3) * per_class / (per_class + 1)
    expected = SCALE * target @ text.T + weight * np.array(
        [
            [gaussian(f, m, c) - volume(c) for m, c in zip(placed, certain, strict=True)]
            for f in target
        ]
    )

    method = SreClip(**PLAIN).fit(**data)
    assert method.facts()["held_out_weight"] == held_out
    assert method.facts()["weight"] == pytest.approx(weight)
    found = method.logits(data["target_features"]).double().numpy()
    np.testing.assert_allclose(found, log_softmax(expected, axis=1), atol=2e-3)


def test_evidence_helps_where_the_domains_are_alike() -> None:
    data, labels = planted()
    adapted, frozen = right(data, labels)
    assert adapted > frozen + 5
    assert SreClip().fit(**data).facts()["gate"] == 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_source_counts_less_where_it_is_unlike_the_target(seed: int) -> None:
    data, labels = planted(unlike=4.0, seed=seed)
    facts = SreClip().fit(**data).facts()
    assert facts["transfer"] < 0.45
    assert facts["gate"] == pytest.approx(max(0, facts["transfer"]) / 0.5)
    adapted, frozen = right(data, labels)
    assert adapted > frozen - 2
    assert right(data, labels, full_transfer=0.0)[0] < adapted


CASES: dict[str, dict[str, Any]] = {
    "one source image per class": {"shots": 1},
    "two source images per class": {"shots": 2},
    "one huge class and a tiny one": {"counts": [4000, 5, *[40] * (CLASSES - 2)]},
    "no unknown image": {"counts": [*[40] * (CLASSES - UNKNOWN), *[0] * UNKNOWN]},
    "unknown images alone": {"counts": [*[0] * (CLASSES - UNKNOWN), *[40] * UNKNOWN]},
    "thirty images": {"counts": [4, 4, 4, 4, 4, 4, 3, 3]},
    "one domain": {"shift": 0.0},
}


@pytest.mark.parametrize("case", CASES)
def test_odd_data_does_not_end_below_zero_shot(case: str) -> None:
    pairs = [right(*planted(seed=seed, **CASES[case])) for seed in range(4)]
    adapted, frozen = np.mean(pairs, axis=0)
    assert adapted > frozen - 1, (adapted, frozen)


def test_one_image_per_class_cannot_judge() -> None:
    data, _ = planted(shots=1)
    assert SreClip().fit(**data).facts()["held_out_weight"] == UNJUDGED_WEIGHT


def test_one_known_class() -> None:
    data, _ = planted()
    rows = data["source_labels"] == 0
    known = torch.arange(CLASSES) == 0
    data["source_features"], data["source_labels"] = (
        data["source_features"][rows],
        torch.zeros(int(rows.sum()), dtype=torch.int64),
    )
    data["text"] = ClassText(data["text"].features, SCALE, known)
    method = SreClip().fit(**data)
    assert method.facts()["gate"] == 0
    assert method.logits(data["target_features"]).isfinite().all()


def test_equal_source_images_have_no_spread() -> None:
    data, _ = planted()
    labels = data["source_labels"]
    data["source_features"] = data["text"].features[labels]
    assert SreClip().fit(**data).logits(data["target_features"]).isfinite().all()


def test_confidence_counts_as_far_as_halves_agree_and_no_prediction_changes() -> None:
    data, _ = planted()
    target = data["target_features"]
    calibrated = SreClip().fit(**data)
    hot, cold = (
        method.logits(target).softmax(dim=1)
        for method in (SreClip(calibrated=False).fit(**data), calibrated)
    )
    assert torch.equal(hot.argmax(dim=1), cold.argmax(dim=1))
    text = SreClip(trust=0.0, pull=0.0, calibrated=False).fit(**data).logits(target)
    predicted = hot.argmax(dim=1, keepdim=True)
    own, texts, found = (
        float(values.gather(1, predicted).mean()) for values in (hot, text.softmax(dim=1), cold)
    )
    agreement = calibrated.facts()["agreement"]
    assert own > texts
    assert 0.5 < agreement < 1
    assert found == pytest.approx(texts + agreement * (own - texts), abs=1e-4)


def test_halves_agree_by_what_they_are_sure_of() -> None:
    """Without places and bias both halves predict what the texts say."""
    data, _ = planted()
    method = SreClip(taught=0.0, trust=0.0, class_bias=0.0).fit(**data)
    p = data["text"].zero_shot_logits(data["target_features"]).softmax(dim=1)
    assert method.facts()["agreement"] == pytest.approx(float(p.square().sum(dim=1).mean()))


def test_taught_texts_by_another_solver() -> None:
    data, _ = planted()
    text: ClassText = data["text"]
    source, labels = data["source_features"].double().numpy(), data["source_labels"].numpy()
    texts = text.features[text.known].double().numpy()
    anchor = 0.05

    def unit(flat: np.ndarray) -> np.ndarray:
        vectors = flat.reshape(texts.shape)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def loss(flat: np.ndarray) -> float:
        log_p = log_softmax(SCALE * source @ unit(flat).T, axis=1)
        fit = -log_p[np.arange(len(labels)), labels].mean()
        return float(fit + anchor / 2 * np.square(unit(flat) - texts).sum())

    expected = minimize(loss, texts.ravel(), method="CG", tol=1e-8)
    found = taught_texts(FitData(**data), anchor).double().numpy()
    assert loss(found.ravel()) == pytest.approx(expected.fun, abs=1e-5)
    np.testing.assert_allclose(found, unit(expected.x), atol=5e-3)
    assert loss(texts.ravel()) > loss(found.ravel()) + 0.05


def test_texts_are_taught_as_far_as_the_domains_are_alike() -> None:
    data, _ = planted()
    text: ClassText = data["text"]
    taught = taught_texts(FitData(**data), 0.01)
    found = SreClip().fit(**data).state()["text"]
    part = 0.5 * 12 / 13
    torch.testing.assert_close(
        found[text.known], torch.lerp(text.features[text.known], taught, part)
    )
    assert torch.equal(found[~text.known], text.features[~text.known])
    order = torch.randperm(len(data["source_labels"]), generator=torch.Generator().manual_seed(0))
    data["source_labels"] = data["source_labels"][order]
    moved = SreClip().fit(**data).state()["text"] - text.features
    full = SreClip(full_transfer=0.0).fit(**data).state()["text"] - text.features
    assert moved.norm() < 0.5 * full.norm()


def test_other_images_are_scored_as_those_of_the_fit_without_neighbours() -> None:
    data, _ = planted()
    target = data["target_features"]
    method = SreClip(pull=0.0).fit(**data)
    alone = method.logits(target[:7])
    torch.testing.assert_close(
        alone.log_softmax(dim=1), method.logits(target)[:7], rtol=0, atol=1e-3
    )


def test_the_logit_scale_alone_changes_nothing() -> None:
    """Cosines to the texts half as large, and a scale twice as large: the same logits."""
    data, _ = planted()
    target = data["target_features"]
    text: ClassText = data["text"]
    # One more dimension, in which all texts are alike and no image is.
    wide = {name: F.pad(data[name], (0, 1)) for name in ("source_features", "target_features")}
    far = F.normalize(F.pad(text.features, (0, 1), value=3**0.5), dim=1)
    other = ClassText(far, 2 * SCALE, text.known)
    graph: ClassGraph = data["graph"]
    graph = ClassGraph(far, graph.adjacency, graph.edges, graph.class_nodes, graph.relation)
    # The relation places classes by the texts as vectors; without it they count as logits alone.
    one = SreClip(relation_images=0.0).fit(**data).logits(target)
    two = SreClip(relation_images=0.0).fit(**data | wide | {"text": other, "graph": graph})
    found = two.logits(wide["target_features"])
    assert (one.argmax(dim=1) == found.argmax(dim=1)).float().mean() > 0.98
