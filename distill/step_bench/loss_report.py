"""Render the comparison of the loss alone for people."""

from collections.abc import Sequence

from distill.step_bench.formulations import GROUPS, PATCH, TEMPERATURE
from distill.step_bench.loss_speed import LossRow
from distill.step_bench.report import interval
from distill.step_bench.shapes import written

_MIB = 2**20
_VERDICTS = {True: "met", False: "missed", None: "-"}


def render_losses(rows: Sequence[LossRow]) -> str:
    """A Markdown table, one line for each shape."""
    lines = [
        f"Forward and backward pass, float32, one thread, {GROUPS} groups, patches of {PATCH[0]}x{PATCH[1]}, "
        f"temperature {TEMPERATURE:g}. Extra memory: beyond the maps, each in a process of its own. "
        "Brackets: 95 % bootstrap interval over rounds. Error: of the gradient, against float64.",
        "",
        "| maps | published ms | ours ms | times faster (bar) | published MiB | ours MiB | times less (bar) "
        "| published error | ours error | bars |",
        "|---|" + "--:|" * 8 + "---|",
    ]
    for row in rows:
        cells = [
            written(row.shape),
            interval(row.published.ms, 1),
            interval(row.ours.ms, 1),
            interval(row.speed_up) + _bar(row.needed_speed_up),
            _mib(row.published.extra_bytes),
            _mib(row.ours.extra_bytes),
            ("-" if row.saving is None else f"{row.saving:.1f}") + _bar(row.needed_saving),
            f"{row.published.gradient_error:.1e}",
            f"{row.ours.gradient_error:.1e}",
            _VERDICTS[row.is_met],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _bar(needed: float | None) -> str:
    return "" if needed is None else f" ({needed:g})"


def _mib(count: int | None) -> str:
    return "-" if count is None else f"{count / _MIB:.1f}"
