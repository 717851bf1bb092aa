"""The card of a saved model: what it is, what it was made from, how sure one can be."""

from __future__ import annotations

from collections.abc import Iterator

from sreclip.model.saved import SavedModel

MEASURES = {"known": "known classes", "unknown": "unknown classes", "h": "H", "all": "all classes"}


def card(model: SavedModel) -> str:
    """Return the card as Markdown."""
    return "\n".join(_lines(model)) + "\n"


def _lines(model: SavedModel) -> Iterator[str]:
    about, name = model.about, model.backbone["name"]
    known = [c for c, is_known in zip(model.classes, model.known, strict=True) if is_known]
    unknown = [c for c, is_known in zip(model.classes, model.known, strict=True) if not is_known]
    yield f"# {model.title}: {len(model.classes)} classes\n"
    yield "Made with sreclip. Label images with\n"
    yield "    sreclip predict THIS_FOLDER IMAGES --out predictions.csv\n"
    yield "## What it is\n"
    seeds, weights = ", ".join(map(str, model.seeds)), model.made_with["weights_sha256"][:12]
    yield f"- method: `{model.method}`, seeds {seeds}, fit {model.key}"
    yield f"- backbone: {name}, weights {weights} (not in this folder)"
    yield f"- {len(known)} classes with source labels: {', '.join(known)}"
    yield f"- {len(unknown)} classes without any label: {', '.join(unknown) or 'none'}"
    yield (
        f"- fitted on {about['n_source']:,} labelled source images and {about['n_target']:,} "
        "target images without labels"
    )
    if model.transductive:
        yield (
            "- The fit saw its target images as a whole. New images are scored one by one by what "
            "it kept of them, which can be a little less right."
        )
    if model.added:
        yield "\n## Classes that came after the fit\n"
        for each in model.added:
            yield f"- {each.line}"
        yield (
            "\nNo image of them was seen, so nothing is known of how right they are. All numbers "
            "below are of the fit, before they came."
        )
    yield "\n## How right it is\n"
    if about["metrics"]:
        yield f"On the target of the fit, {about['n_labelled']:,} labelled images, class means:\n"
        yield "| measure | accuracy |\n| --- | ---: |"
        for measure, words in MEASURES.items():
            if measure in about["metrics"]:
                yield f"| {words} | {100 * about['metrics'][measure]['mean']:.1f} % |"
    else:
        yield (
            "Not known: the target has no labels, or was not evaluated. The expected error below "
            "is what the model says of itself."
        )
    if model.background:
        said = ", ".join(f'"{sentence}"' for sentence in model.background)
        yield (
            f"\nAn image is put aside as background where the texts {said} are likelier than any "
            "class. The accuracies do not count that; "
            f"{about['n_in_background']:,} of the labelled images would be put aside, though "
            "each shows a class: wrong, if the background counts as an answer."
        )
    yield "\nWith images below a probability put aside (`--reject`):\n"
    yield "| least probability | kept | expected error | error |\n| ---: | ---: | ---: | ---: |"
    for row in model.thresholds[::2]:
        cells = (_percent(row.expected_error), _percent(row.error))
        yield f"| {row.least:g} | {_percent(row.kept)} | {' | '.join(cells)} |"
    yield "\n## Limits\n"
    if model.background:
        yield "- What shows no class is put aside only as far as the texts above describe it."
    else:
        yield "- Every image gets one of the classes above, even if it shows none of them."
    yield "- Images unlike the target of the fit are less often right; nothing warns of them."
    yield "\n## Licences\n"
    yield f"- data: {about['credits'] or 'not stated by the task'}"
    yield "- weights of the backbone: as their makers say"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"
