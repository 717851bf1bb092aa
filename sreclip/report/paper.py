"""The results as a table for a paper or a README."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from sreclip.errors import ConfigError, DataError, unknown_name
from sreclip.evaluate.leaders import leaders
from sreclip.evaluate.stored import Evaluation, read_evaluations
from sreclip.plan.plan import Plan
from sreclip.report.differences import plain_level
from sreclip.report.numbers import percent_and_half
from sreclip.report.table import TITLES

Format = Literal["markdown", "latex", "csv"]
METRICS = ("known", "unknown", "h")
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def results_table(plan: Plan, format: Format, metrics: Sequence[str] = METRICS) -> str:
    """Return methods by metrics, in percent, with half-widths of the intervals over seeds.

    Bold are the best method of a column and those that are not clearly below it (`leaders`). As CSV
    the numbers are fractions in full, one row per method and metric.

    Raises `StoreError` if the run has no results, `ConfigError` for an unknown metric, `DataError`
    without a label.
    """
    for name in metrics:
        if name not in TITLES:
            raise ConfigError(unknown_name("metric", name, TITLES))
    evaluations = read_evaluations(plan.comparison.inputs)
    if not evaluations[0].n_images:
        raise DataError(
            "no target image has a label, so there is no accuracy to tabulate",
            "label some images with: sreclip label",
        )
    settings = plan.params.evaluate
    bold = leaders(
        plan.comparison.inputs,
        evaluations,
        resamples=settings.bootstrap,
        seed=settings.bootstrap_seed,
        confidence=settings.confidence,
    )
    if format == "csv":
        return _csv(evaluations, metrics, bold)
    note = _note(plan, evaluations[0], bold)
    write = {"markdown": _markdown, "latex": _latex}[format]
    return write(evaluations, metrics, bold, note)


def _note(plan: Plan, first: Evaluation, bold: Mapping[str, set[str]]) -> str:
    seeds, level = len(first.seeds), f"{100 * plan.params.evaluate.confidence:g} %"
    over = f"mean and half-width of the {level} interval over {seeds} seeds"
    parts = [
        f"{plan.params.task.name}, {plan.params.backbone.label}; percent",
        over if seeds > 1 else "one seed",
    ]
    if bold:
        alpha = plain_level(plan.params.evaluate.confidence)
        parts.append(
            "bold: the best and what is not clearly below it (permutation test over images, "
            f"Holm-adjusted p < {alpha})"
        )
    if first.selection == "oracle" or first.warning:
        parts.append("target labels were used: upper bounds, not results")
    return "; ".join(parts)


def _cells(
    evaluation: Evaluation,
    metrics: Sequence[str],
    bold: Mapping[str, set[str]],
    join: str,
    embolden: Callable[[str], str],
) -> list[str]:
    cells = []
    for metric in metrics:
        if metric not in evaluation.metrics:
            cells.append("\N{EN DASH}")
            continue
        mean, half = percent_and_half(evaluation.metrics[metric])
        is_bold = evaluation.method in bold.get(metric, ())
        cells.append((embolden(mean) if is_bold else mean) + (f"{join}{half}" if half else ""))
    return cells


def _markdown(
    evaluations: Sequence[Evaluation],
    metrics: Sequence[str],
    bold: Mapping[str, set[str]],
    note: str,
) -> str:
    lines = [["Method", *(TITLES[name] for name in metrics)], ["---", *["---:"] * len(metrics)]]
    for each in evaluations:
        title = each.title.replace("|", "\\|")
        lines.append([title, *_cells(each, metrics, bold, " ± ", "**{}**".format)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{note}.\n"


def _latex(
    evaluations: Sequence[Evaluation],
    metrics: Sequence[str],
    bold: Mapping[str, set[str]],
    note: str,
) -> str:
    def escaped(text: str) -> str:
        return "".join(_LATEX.get(character, character) for character in text)

    def line(*cells: str) -> str:
        return " & ".join(cells) + r" \\"

    rows = [
        line(
            escaped(each.title),
            *(
                cell.replace("\N{EN DASH}", "--").replace("<", "$<$")
                for cell in _cells(
                    each, metrics, bold, r" $\pm$ ", lambda text: rf"\textbf{{{text}}}"
                )
            ),
        )
        for each in evaluations
    ]
    return "\n".join(
        [
            f"% {note}.",
            "% needs \\usepackage{booktabs}",
            rf"\begin{{tabular}}{{l{'r' * len(metrics)}}}",
            r"\toprule",
            line("Method", *(escaped(TITLES[name]) for name in metrics)),
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _csv(
    evaluations: Sequence[Evaluation], metrics: Sequence[str], bold: Mapping[str, set[str]]
) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "title", "metric", "mean", "low", "high", "seeds", "leads"])
    for each in evaluations:
        for metric in metrics:
            if summary := each.metrics.get(metric):
                leads = str(each.method in bold[metric]).lower() if metric in bold else ""
                ends = [summary.get("low", ""), summary.get("high", "")]
                row = [each.method, each.title, metric, summary["mean"], *ends, int(summary["n"])]
                writer.writerow([*row, leads])
    return text.getvalue()
