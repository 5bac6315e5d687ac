"""Render an analysis as Markdown: what was measured, on what, and the tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.analysis.rows import ANSWERS, MEASURES, title_of, value_of
from distill.compare_report import describe_environment

DEFINITIONS = {
    "linear CKA": "1 = equal up to rotation and scale, 0 = nothing in common (Kornblith et al., 2019; "
    "debiased: Song et al., 2012); over all measured positions, the student's map on the teacher's grid.",
    "distance after the best 1x1 map": "Share of the teacher's variance that a 1x1 convolution of the "
    "student's map leaves unexplained; fitted by least squares on other images of the split.",
    "distance of local self-similarities": "Mean |teacher - student| of the cosine of a position with its "
    "neighbours in the window (after Shechtman and Irani, 2007). 0..2.",
    "KL (nats)": "KL(teacher || student) of the class probabilities, mean over the pixels of the input.",
    "agreement (%)": "pixels that both give the same class; per class the IoU of the two masks.",
}
"""Title of a table's column -> what it says."""


def render_markdown(result: Mapping[str, Any]) -> str:
    """One table for each measure of features, then the answers, then the agreement per class."""
    rows: Sequence[Mapping[str, Any]] = result["rows"]
    titles = [title_of(row, result) for row in rows]
    size = "x".join(map(str, result["image_size"])) if result["image_size"] else "native"
    teachers = "; ".join(map(_teacher, result["teachers"]))
    lines = [
        "# What moved inside",
        "",
        f"{result['dataset']} {result['split']}, {result['images']} images measured and "
        f"{result['images_fitted']} others fitted on, network input {size}, window "
        f"{result['window']}x{result['window']}, float32 on {result['device']}. Teacher: {teachers}.",
        "",
        "`before` is the student as its training began; the other rows are after it."
        + (" ± is the standard deviation over seeds." if any(len(row["seeds"]) > 1 for row in rows) else ""),
    ]
    for measure, title in MEASURES.items():
        lines += ["", f"## {title[0].upper()}{title[1:]}", "", DEFINITIONS[title], ""]
        lines += _table(
            [_marked(pair) for pair in result["features"]],
            titles,
            [[value_of(row, pair["name"], measure) for pair in result["features"]] for row in rows],
        )
    lines += ["", "## Answers", ""]
    lines += [f"- {title}: {DEFINITIONS[title]}" for title in ANSWERS.values()]
    lines += ["", *_table(list(ANSWERS.values()), titles, [_answers(row) for row in rows])]
    classes = list(rows[0]["agreement_per_class"])
    lines += ["", "Agreement per class, percent:", ""]
    lines += _table(
        titles,
        classes,
        [[_percent(row["agreement_per_class"][name]) for row in rows] for name in classes],
        digits=1,
    )
    return "\n".join([*lines, "", describe_environment(result["environment"]), ""])


def _teacher(teacher: Mapping[str, Any]) -> str:
    miou = teacher["miou"]
    scored = "" if miou is None else f", mIoU {100 * miou:.2f} on {teacher['miou_split']}"
    return f"{teacher['name']} ({teacher['network']}{scored}, sha256 {teacher['weights_sha256'][:12]})"


def _table(
    columns: Sequence[str], names: Sequence[str], cells: Sequence[Sequence[Any]], digits: int = 3
) -> list[str]:
    """cells: per name and column, (mean, deviation) or None."""
    return [
        "| |" + "".join(f" {column} |" for column in columns),
        "|---|" + "---|" * len(columns),
        *(
            f"| {name} |" + "".join(f" {_cell(value, digits)} |" for value in values)
            for name, values in zip(names, cells, strict=True)
        ),
    ]


def _answers(row: Mapping[str, Any]) -> list[Any]:
    return [row["answers"]["kl"], _percent(row["answers"]["agreement"])]


def _percent(value: Sequence[float | None] | None) -> list[float | None] | None:
    return None if value is None else [part if part is None else 100 * part for part in value]


def _cell(value: Sequence[float | None] | None, digits: int) -> str:
    if value is None:
        return "not defined"
    mean, deviation = value
    return f"{mean:.{digits}f}" + ("" if deviation is None else f" ± {deviation:.{digits}f}")


def _marked(pair: Mapping[str, Any]) -> str:
    return f"{pair['name']} (used)" if pair["is_used"] else str(pair["name"])
