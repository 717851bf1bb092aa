"""Draw the path of one image through the pipeline, and write the page about it.

    python scripts/draw_image_path.py        # writes docs/image-path.svg and docs/image-path.md

Both are made of the table below. A test looks up each function, rule and size in the code.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Step:
    """One step of an image.

    ``code`` is a file below ``sreclip/`` and a function or method in it; ``shape`` what the image
    is afterwards; ``place`` the file that holds it, "" while it is in memory.
    """

    title: str
    short: str
    code: str
    shape: str
    place: str
    text: str


# The rules of the workflow, and the steps in their jobs.
JOBS: dict[str, tuple[Step, ...]] = {
    "prepare_data": (
        Step(
            "Manifest row",
            "Listed and hashed; a target label goes elsewhere.",
            "data/prepare.py image_rows",
            "1 row",
            "results/data/TASK-KEY/manifest.parquet",
            "The image is found below the data root and gets a row: path, domain, size and"
            " SHA-256. If a target image has a label, that goes into `target_labels.parquet`,"
            " which the evaluation alone opens.",
        ),
        Step(
            "Shard",
            "Cut by content, so that new images move few cuts.",
            "data/shards.py cut_shards",
            "about 4,096 rows",
            "results/data/TASK-KEY/shards.json",
            "The rows of a domain are cut into shards. The key of a shard is a hash of its rows:"
            " a new image changes the key of one shard, seldom of a few.",
        ),
    ),
    "extract_images": (
        Step(
            "Decode",
            "Upright RGB, as a viewer shows it, or a reason.",
            "data/images.py read_image",
            "height x width x 3",
            "",
            "A worker reads the bytes, checks them against the manifest, and decodes them. An"
            " image that cannot be read is rejected, with the reason, and the others go on.",
        ),
        Step(
            "Transform",
            "The model's own resizing and cropping, in bytes.",
            "backbones/open_clip.py OpenClipBackbone.preprocess",
            "3 x 224 x 224, uint8",
            "",
            "The image is resized and cropped as the model was trained. Pixels stay bytes until"
            " they are on the device that scales them.",
        ),
        Step(
            "Image encoder",
            "50 tokens of width 768 become one vector.",
            "backbones/open_clip.py OpenClipBackbone.encode_image",
            "512, float32, length 1",
            "",
            "The frozen vision transformer sees 49 patches of 32 x 32 pixels and a class token,"
            " each 768 wide. Their result is projected to 512 numbers and scaled to length 1.",
        ),
        Step(
            "Feature row",
            "One HDF5 file per shard, with checksums.",
            "features/images.py write_images",
            "512, float16",
            "results/features/MODEL-KEY/images/KEY.h5",
            "The vectors of a shard are stored in one file, with the row ids, what was rejected"
            " and the key of what they were made from. No later step looks at the image again,"
            " but the page that shows it.",
        ),
    ),
    "train_method": (
        Step(
            "Read back",
            "All target rows, refused under a wrong key.",
            "train/inputs.py read_stored",
            "n target x 512",
            "",
            "A fit reads the rows of both domains, the texts of the classes and the graph. A file"
            " with another key, or a flipped bit, is refused.",
        ),
        Step(
            "Method and its adapter",
            "Frozen logits and what the method learned.",
            "methods/sre_clip.py SreClip._logits",
            "n target x n classes",
            "",
            "The method scores the row against every class, through its adapter if it trains one."
            " `sre_clip` adds its Gaussians, and a bias per class. Logits come in blocks, and never"
            " all at once.",
        ),
        Step(
            "Calibration",
            "One bias for all unknown classes, without labels.",
            "methods/base.py Method.logit_blocks",
            "n target x n classes",
            "",
            "If the settings say so, a bias is added to the logits of the unknown classes. The fit"
            " found it without a target label.",
        ),
        Step(
            "Refinement",
            "Target images move each other's logits.",
            "refinement/refine.py refine",
            "at most 64 classes",
            "",
            "The steps of `refine`, if there are any, move the logits by what the target images"
            " say together. They keep at most 64 candidate classes per image.",
        ),
        Step(
            "Scores",
            "What every metric can be computed from.",
            "methods/logits.py collect",
            "5 best, 1 known, 1 unknown",
            "results/models/TASK/MODEL/METHOD-KEY/scores.h5",
            "The logits of the image are reduced to the five best classes, the best known and the"
            " best unknown one, and the logarithm of the sum.",
        ),
    ),
    "evaluate_method": (
        Step(
            "Evaluation",
            "The only reader of target labels.",
            "evaluate/evaluation.py evaluate_method",
            "1 row",
            "results/evaluations/TASK/MODEL/METHOD-KEY/predictions.parquet",
            "The prediction meets the label, if the image has one: right or wrong, known or"
            " unknown. The numbers go into `evaluation.json`, the prediction of each image into"
            " a table.",
        ),
    ),
    "write_page": (
        Step(
            "Table of predictions",
            "The class, how sure it is, and the next classes.",
            "report/predictions.py write_predictions",
            "1 row per method",
            "results/pages/TASK/MODEL/KEY/predictions.csv",
            "The class gets its name, with the confidence and the next classes beside it. A"
            " rejected image has the reason instead.",
        ),
        Step(
            "Page",
            "The image itself, where it says something.",
            "report/page.py write_page",
            "thumbnail",
            "results/pages/TASK/MODEL/KEY/index.html",
            "If the image is among the surest mistakes, the least sure ones or another group that"
            " the page shows, its thumbnail is on it.",
        ),
    ),
    "publish_report": (
        Step(
            "Publication",
            "What DVC tracks, with a stamp of its making.",
            "report/publish.py publish",
            "1 row per method",
            "reports/predictions.csv",
            "Tables and page are copied to `reports/`, and a stamp beside them names what they"
            " were made from.",
        ),
    ),
}

WIDTH = 800
STEP, GAP, HEAD, FRAME = 84, 10, 34, 16

STYLE = """
  svg { --page: #ffffff; --box: #f6f8fa; --line: #8c959f; --ink: #1f2328; --soft: #57606a;
    --rule: #0a5cad; --disk: #8a4600; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #0d1117; --box: #161b22; --line: #6e7681; --ink: #e6edf3; --soft: #9da7b3;
      --rule: #79b8ff; --disk: #f0b072; }
  }
  text { font: 15px system-ui, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif;
    fill: var(--ink); }
  .title { font-size: 17px; font-weight: 600; }
  .code { font: 13.5px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
    fill: var(--soft); }
  .rule { font: 600 15px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
    fill: var(--rule); }
  .disk { font: 13.5px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
    fill: var(--disk); }
  .box { fill: var(--box); stroke: var(--line); }
  .kept { stroke: var(--disk); stroke-width: 2; }
  .arrow { stroke: var(--line); stroke-width: 2; }
"""


def draw() -> str:
    """Return the figure as SVG."""
    parts: list[str] = []
    y, number = 14, 0
    for rule, steps in JOBS.items():
        parts.append(text(16, y + 20, f"rule {rule}", "rule"))
        y += HEAD
        for step in steps:
            number += 1
            if number > 1:
                parts.append(f'<path class="arrow" d="M40 {y - arrow(step, steps)}V{y}"/>')
            parts += draw_step(step, number, y)
            y += STEP + GAP
        y += FRAME - GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img"'
            ' aria-label="The path of one image through the pipeline, step by step">',
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{y}" style="fill: var(--page)"/>',
            *parts,
            "</svg>\n",
        ]
    )


def arrow(step: Step, steps: tuple[Step, ...]) -> int:
    """How far up the last step ends, which may be in another job."""
    return GAP if step is not steps[0] else 8


def draw_step(step: Step, number: int, y: int) -> list[str]:
    kept = " kept" if step.place else ""
    path, _, function = step.code.partition(" ")
    lines = [
        f'<rect class="box{kept}" x="16" y="{y}" width="{WIDTH - 32}" height="{STEP}" rx="8"/>',
        text(32, y + 26, f"{number}  {step.title}", "title"),
        text(WIDTH - 32, y + 26, step.shape, end=True),
        text(32, y + 49, step.short),
        text(32, y + 71, f"{path}: {function}", "code"),
    ]
    if step.place:
        folder, _, name = step.place.rpartition("/")
        lines.append(text(WIDTH - 32, y + 49, f"{folder}/", "disk", end=True))
        lines.append(text(WIDTH - 32, y + 71, name, "disk", end=True))
    return lines


def text(x: int, y: int, content: str, style: str = "", *, end: bool = False) -> str:
    extra = f' class="{style}"' if style else ""
    extra += ' text-anchor="end"' if end else ""
    return f'<text x="{x}" y="{y}"{extra}>{escape(content)}</text>'


def page() -> str:
    """Return the page: the figure, and a paragraph per step."""
    parts = [
        "# The path of one image",
        wrapped(
            "What happens to one image of the target, from the folder to the table of predictions."
            " Sizes are those of ViT-B/32. A frame in colour means that the result lies on the"
            " disk, in the file on the right. Names in capital letters stand for settings and"
            " [keys](architecture.md#one-idea-a-path-says-what-a-result-was-made-from)."
        ),
        "[![The steps of one image, each with what happens, the function that does it, the shape of"
        " the result, and the file that holds it. All of it is written below.](image-path.svg)]"
        "(image-path.svg)",
        wrapped(
            "Fits and evaluations that take little time are made in one job with others, by the"
            " same functions (rule `make_bundle`). An image of the source goes the same way up to"
            " step 7; from there on its label is part of the fits."
        ),
    ]
    number = 0
    for rule, steps in JOBS.items():
        parts.append(f"## Rule `{rule}`")
        for step in steps:
            number += 1
            path, _, function = step.code.partition(" ")
            where = f" Result: `{step.place}`." if step.place else ""
            parts.append(
                wrapped(
                    f"**{number} {step.title}** (`{function}` in `sreclip/{path}`):"
                    f" {step.shape}. {step.text}{where}",
                )
            )
    parts.append(
        wrapped(
            "The figure and this page are made by `python scripts/draw_image_path.py`. A test looks"
            " up each function, rule, size and file in the code."
        )
    )
    return "\n\n".join(parts) + "\n"


def wrapped(paragraph: str) -> str:
    return textwrap.fill(paragraph, 116, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    (DOCS / "image-path.svg").write_text(draw())
    (DOCS / "image-path.md").write_text(page())


if __name__ == "__main__":
    main()
