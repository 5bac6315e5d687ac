"""Costs in the Markdown of a comparison: columns of its table, and how they were measured."""

from collections.abc import Callable, Mapping
from typing import Any

MIB = 2**20
UNKNOWN = "not known"


def written(figure: float) -> str:
    """A cost in whole units, with one decimal below 100."""
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.1f}"


def cost_columns(result: Mapping[str, Any]) -> dict[str, Callable[[Mapping[str, Any]], str]]:
    """By head, what stands in the column of a row with this `cost`; empty where none was measured."""
    if not result.get("cost"):
        return {}
    return {
        "ms per step": lambda cost: _interval(cost["step_ms"]),
        f"times {result['rows'][0]['variant']}": lambda cost: _ratio(cost["times_first"]),
        "peak memory, MiB": lambda cost: _mib(cost["peak_memory_bytes"]),
    }


def render_costs(result: Mapping[str, Any]) -> list[str]:
    """How costs were measured, and what is learned before the first step; empty where they were not."""
    cost = result.get("cost")
    if not cost:
        return []
    memory = "of the device's tensors"
    if result["device"] == "cpu":
        memory = "growth of the resident set over a process that has its libraries and nothing else"
    lines = [
        f"ms per step: median over {cost['rounds']} rounds of all variants in turn, each time "
        f"{cost['steps']} steps after {cost['warm_up']} that are not counted, in a process of its own"
        f"{_where(cost)}. Brackets: 95 % bootstrap interval over rounds. A step is waiting for the batch, "
        f"student, teacher, losses and update. Peak memory: {memory}; networks, optimiser, what methods "
        "remember, and what a step holds.",
        "",
    ]
    for row in result["rows"]:
        for method, learned in row["cost"]["preparations"].items():
            lines += [
                f"Before the first step of {row['variant']}, {method} learns from the teacher, once for all "
                f"seeds: {learned['steps']} steps of {learned['batch']} images, "
                f"{_interval(learned['seconds'])} s.",
                "",
            ]
    return lines


def _where(cost: Mapping[str, Any]) -> str:
    threads, git = cost["threads"], cost["environment"]["git"]
    parts = [f"{threads} CPU thread{'s' if threads > 1 else ''}"] if threads else []
    if git:
        parts.append(f"commit {git['commit'][:12]}{' with changes' if git['is_dirty'] else ''}")
    return f" ({', '.join(parts)})" if parts else ""


def _interval(figure: Mapping[str, float]) -> str:
    return f"{written(figure['value'])} [{written(figure['lower'])}, {written(figure['upper'])}]"


def _ratio(figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return ""
    return f"{figure['value']:.2f} [{figure['lower']:.2f}, {figure['upper']:.2f}]"


def _mib(size_bytes: int | None) -> str:
    return UNKNOWN if size_bytes is None else written(size_bytes / MIB)
