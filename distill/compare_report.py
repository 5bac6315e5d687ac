"""Render a comparison for people as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.step_cost.report import cost_columns, render_costs


def render_markdown(result: Mapping[str, Any]) -> str:
    """The table with all that it needs to be believed, then IoU and gain per class."""
    report, rows = result["report"], result["rows"]
    others = baselines(result)
    sizes = dict.fromkeys(_size(row.get("image_size", report["image_size"])) for row in rows)
    lines = [
        f"# {result['name']}",
        "",
        f"mIoU in percent on {report['dataset']} {report['split']} ({report['images']} images, "
        f"network input {', '.join(sizes)}); model selection on {result['selection']}. "
        f"Student {result['student']['network']} ({result['student']['parameters'] / 1e6:.2f} M parameters)"
        f"{' with int8 weights and activations' if result['student'].get('quantisation') else ''}, "
        f"{result['steps']} steps of {result['batch']}, "
        f"seeds {', '.join(map(str, result['seeds']))}, {result['precision']} on {result['device']}.",
        "",
        *_table(result, others),
        "",
        "± is the standard deviation over seeds. "
        "Brackets: 95 % bootstrap interval over images and seeds, paired.",
        "",
        *render_costs(result),
        "IoU in percent, mean over seeds:",
        "",
        *_per_class(rows, "iou_per_class", "{:.1f}"),
        "",
    ]
    gaining = [row for row in rows if row.get("gain_per_class")]
    if gaining:
        lines += [f"Gain over {result['gain_over']}, points:", ""]
        lines += [*_per_class(gaining, "gain_per_class", "{:+.1f}"), ""]
    return "\n".join([*lines, describe_environment(result["environment"]), ""])


def baselines(result: Mapping[str, Any]) -> list[str]:
    """Names of the columns of differences; of older results, in the order of the rows."""
    compared = {other for row in result["rows"] for other in row["difference"]}
    named = result.get("against", [row["variant"] for row in result["rows"]])
    return [other for other in named if other in compared]


def describe_environment(environment: Mapping[str, Any]) -> str:
    """Code and machine, from `fingerprint()`."""
    cpu, git = environment["cpu"], environment["git"]
    commit = f", commit {git['commit'][:12]}{' with changes' if git['is_dirty'] else ''}" if git else ""
    gpus = "".join(f", {gpu['name']}" for gpu in environment["gpu"])
    return f"afdcd {environment['code']}{commit}; {cpu['model']}, {cpu['cores']} cores{gpus}."


def _table(result: Mapping[str, Any], others: Sequence[str]) -> list[str]:
    costs = cost_columns(result)
    heads = ["variant", "mIoU", *(f"difference to {other}" for other in others), "seeds", *costs]
    lines = [_line(heads), "|---|---|" + "---|" * (len(heads) - 2)]
    blank = [""] * (len(heads) - 2)
    for title, teacher in teachers(result).items():
        lines.append(_line([f"{title} ({teacher['network']})", f"{100 * teacher['miou']:.2f}", *blank]))
    start = result["student"].get("started_from")
    if start and start["report"]:
        had = f"{100 * start['report']['miou']:.2f} on {start['report']['split']}"
        lines.append(_line([f"start ({start['network']})", had, *blank]))
    for row in result["rows"]:
        spread = "" if row["deviation"] is None else f" ± {row['deviation']:.2f}"
        differences = [_difference(row["difference"].get(other)) for other in others]
        seeds = " ".join(f"{value:.2f}" for value in row["miou_percent"])
        cells = [row["variant"], f"{row['mean']:.2f}{spread}", *differences, seeds]
        lines.append(_line([*cells, *(cell(row["cost"]) for cell in costs.values())]))
    return lines


def teachers(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """By title; results of one teacher, and older ones, name it alone."""
    if result.get("teachers"):
        return {f"teacher {name}": teacher for name, teacher in result["teachers"].items()}
    return {"teacher": result["teacher"]} if result["teacher"] else {}


def _per_class(rows: Sequence[Mapping[str, Any]], key: str, form: str) -> list[str]:
    lines = [_line(["class", *(row["variant"] for row in rows)]), "|---|" + "---|" * len(rows)]
    for name in rows[0][key]:
        values = [row[key][name] for row in rows]
        cells = ["absent" if value is None else form.format(value) for value in values]
        lines.append(_line([name, *cells]))
    return lines


def _size(size: str | Sequence[int]) -> str:
    return size if isinstance(size, str) else "x".join(map(str, size))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _difference(value: Mapping[str, float] | None) -> str:
    return "" if value is None else f"{value['mean']:+.2f} [{value['low']:+.2f}, {value['high']:+.2f}]"
