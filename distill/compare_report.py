"""Render a comparison for people: a Markdown table and a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from modelpack.atomic import write_with


def render_markdown(result: Mapping[str, Any]) -> str:
    """The table with all that it needs to be believed, then the gain per class."""
    report, rows = result["report"], result["rows"]
    others = baselines(result)
    size = (
        report["image_size"]
        if isinstance(report["image_size"], str)
        else "x".join(map(str, report["image_size"]))
    )
    lines = [
        f"# {result['name']}",
        "",
        f"mIoU in percent on {report['dataset']} {report['split']} ({report['images']} images, "
        f"network input {size}); model selection on {result['selection']}. "
        f"Student {result['student']['network']} ({result['student']['parameters'] / 1e6:.2f} M parameters)"
        f"{' with int8 weights and activations' if result['student'].get('quantisation') else ''}, "
        f"{result['steps']} steps of {result['batch']}, "
        f"seeds {', '.join(map(str, result['seeds']))}, {result['precision']} on {result['device']}.",
        "",
        "| variant | mIoU | " + " | ".join(f"difference to {other}" for other in others) + " | seeds |",
        "|---|---|" + "---|" * len(others) + "---|",
    ]
    for title, teacher in _teachers(result).items():
        lines.append(
            f"| {title} ({teacher['network']}) | {100 * teacher['miou']:.2f} |" + " |" * (len(others) + 1)
        )
    start = result["student"].get("started_from")
    if start and start["report"]:
        had = f"{100 * start['report']['miou']:.2f} on {start['report']['split']}"
        lines.append(f"| start ({start['network']}) | {had} |" + " |" * (len(others) + 1))
    for row in rows:
        spread = "" if row["deviation"] is None else f" ± {row['deviation']:.2f}"
        cells = [_difference(row["difference"].get(other)) for other in others]
        seeds = " ".join(f"{value:.2f}" for value in row["miou_percent"])
        lines.append(f"| {row['variant']} | {row['mean']:.2f}{spread} | {' | '.join(cells)} | {seeds} |")
    lines += [
        "",
        "± is the standard deviation over seeds. "
        "Brackets: 95 % bootstrap interval over images and seeds, paired.",
        "",
        "| class | " + " | ".join(row["variant"] for row in rows) + " |",
        "|---|" + "---|" * len(rows),
    ]
    for name in rows[0]["iou_per_class"]:
        lines.append(f"| {name} | " + " | ".join(_cell(row["iou_per_class"][name]) for row in rows) + " |")
    return "\n".join([*lines, "", describe_environment(result["environment"]), ""])


def baselines(result: Mapping[str, Any]) -> list[str]:
    """Variants that others are compared with, in the order of the rows."""
    compared = {other for row in result["rows"] for other in row["difference"]}
    return [row["variant"] for row in result["rows"] if row["variant"] in compared]


def render_picture(result: Mapping[str, Any], path: Path) -> None:
    """Each seed as a dot, the mean as a line; beside it the gain per class over the first variant."""
    rows: Sequence[Mapping[str, Any]] = result["rows"]
    classes = list(rows[0]["iou_per_class"])
    figure = Figure(figsize=(11, 0.6 + max(3.0, 0.32 * len(classes))), layout="constrained")
    scores, gains = figure.subplots(1, 2, width_ratios=[1, 1.4])
    for position, row in enumerate(rows):
        scores.plot(
            [position] * len(row["miou_percent"]), row["miou_percent"], "o", color=f"C{position}", alpha=0.6
        )
        scores.hlines(row["mean"], position - 0.25, position + 0.25, color=f"C{position}", linewidth=2.5)
        scores.annotate(f"{row['mean']:.1f}", (position + 0.28, row["mean"]), va="center", fontsize=9)
    scores.set_xticks(range(len(rows)), [row["variant"] for row in rows])
    scores.set_xlim(-0.6, len(rows) - 0.2)
    scores.set_ylabel(f"mIoU, % ({result['report']['dataset']} {result['report']['split']})")
    base, compared = rows[0], rows[1:]
    height = 0.8 / max(len(compared), 1)
    for offset, row in enumerate(compared):
        differences = [_gain(row["iou_per_class"][name], base["iou_per_class"][name]) for name in classes]
        places = [index + (offset - (len(compared) - 1) / 2) * height for index in range(len(classes))]
        gains.barh(places, differences, height, color=f"C{offset + 1}", label=row["variant"])
    gains.set_yticks(range(len(classes)), classes, fontsize=8)
    gains.invert_yaxis()
    gains.axvline(0, color="#444444", linewidth=0.8)
    gains.set_xlabel(f"IoU gain over {base['variant']}, points")
    if compared:
        gains.legend(frameon=False, fontsize=8)
    for axes in (scores, gains):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y" if axes is scores else "x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    write_with(path, lambda temporary: figure.savefig(temporary, dpi=120, format="png"))


def _teachers(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """By title; results of one teacher, and older ones, name it alone."""
    if result.get("teachers"):
        return {f"teacher {name}": teacher for name, teacher in result["teachers"].items()}
    return {"teacher": result["teacher"]} if result["teacher"] else {}


def describe_environment(environment: Mapping[str, Any]) -> str:
    """Code and machine, from `fingerprint()`."""
    cpu, git = environment["cpu"], environment["git"]
    commit = f", commit {git['commit'][:12]}{' with changes' if git['is_dirty'] else ''}" if git else ""
    gpus = "".join(f", {gpu['name']}" for gpu in environment["gpu"])
    return f"afdcd {environment['code']}{commit}; {cpu['model']}, {cpu['cores']} cores{gpus}."


def _difference(value: Mapping[str, float] | None) -> str:
    return "" if value is None else f"{value['mean']:+.2f} [{value['low']:+.2f}, {value['high']:+.2f}]"


def _cell(value: float | None) -> str:
    return "absent" if value is None else f"{value:.1f}"


def _gain(ours: float | None, base: float | None) -> float:
    return 0.0 if ours is None or base is None else ours - base
