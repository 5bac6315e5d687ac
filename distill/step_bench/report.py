"""Render a measured step for people: its parts, and the comparison with what it allows."""

from collections.abc import Mapping
from typing import Any

from distill.step_bench.intervals import Interval
from distill.step_bench.result import (
    NEEDED_SHARE_OF_LIMIT,
    NEEDED_SPEED_UP,
    Comparison,
    PartTime,
    Side,
    StepBench,
)

_MIB = 2**20
_NOT_THERE = "-"


def render_markdown(result: StepBench) -> str:
    """What was measured, the parts with their shares, the figures of the whole step, and the verdict."""
    sides = result.sides
    tables = [{part.name: part for part in side.parts} for side in sides]
    names = dict.fromkeys(name for table in tables for name in table)
    heads = "".join(f" {side.formulation}: ms | share |" for side in sides)
    lines = [
        f"# {result.name}: a training step",
        "",
        _conditions(result),
        "",
        f"| part |{heads}",
        "|---|" + "--:|--:|" * len(sides),
        *(f"| {name} |{''.join(map(_cells, (table.get(name) for table in tables)))}" for name in names),
        f"| **step** |{''.join(f' {interval(side.step_ms, 1)} | 100 % |' for side in sides)}",
        "",
        "Medians over steps; shares of the time of all steps, so they add up. Brackets: 95 % bootstrap "
        "interval over rounds. `X, backward` differentiates X; a method's own line is what it does "
        "beside its losses.",
        "",
        *(_whole(side) for side in sides),
    ]
    if result.comparison is not None:
        lines += ["", *_verdict(result.comparison)]
    return "\n".join([*lines, "", code_and_machine(result.environment), ""])


def interval(figure: Interval, digits: int = 2) -> str:
    """`1.52 [1.48, 1.57]`."""
    return f"{figure.value:.{digits}f} [{figure.lower:.{digits}f}, {figure.upper:.{digits}f}]"


def _conditions(result: StepBench) -> str:
    teacher = f", teacher {result.teacher}" if result.teacher else ""
    variant = f" (variant {result.variant})" if result.variant else ""
    height, width = result.crop
    return (
        f"Student {result.student}{teacher}; methods {', '.join(result.methods) or 'none'}{variant}; "
        f"{result.batch} images of {height}x{width} from {result.data}; {result.precision} on "
        f"{result.device}, {result.threads} threads; {result.rounds} rounds of {result.steps} steps."
    )


def _cells(part: PartTime | None) -> str:
    if part is None:
        return f" {_NOT_THERE} | {_NOT_THERE} |"
    return f" {interval(part.ms, 1)} | {100 * part.share:.1f} % |"


def _whole(side: Side) -> str:
    memory = "not known here"
    if side.peak_memory_bytes is not None:
        memory = f"{side.peak_memory_bytes / _MIB:.0f} MiB"
    warned = "" if side.warm_up.is_stationary else "; the time did not stand still in the warm-up"
    return f"- {side.formulation}: {interval(side.images_per_s)} images/s, peak memory {memory}{warned}"


def _verdict(comparison: Comparison) -> list[str]:
    memory = "not known" if comparison.memory_ratio is None else f"{comparison.memory_ratio:.2f} times ours"
    share = f"{100 * comparison.loss_share.value:.1f} %"
    return [
        f"- Ours over published: {interval(comparison.speed_up)} times the images per second",
        f"- The contrastive term takes {share} of the published step, which allows at most "
        f"{interval(comparison.limit)} times; reached: {100 * comparison.reached:.0f} % of that",
        f"- Peak memory of published: {memory}",
        f"- Bar ({NEEDED_SPEED_UP:g} times, or {100 * NEEDED_SHARE_OF_LIMIT:.0f} % of what the share allows; "
        f"no more memory): {'met' if comparison.is_met else 'missed'}",
    ]


def code_and_machine(environment: Mapping[str, Any]) -> str:
    """Code and machine, from `fingerprint()`."""
    cpu, git = environment["cpu"], environment["git"]
    commit = f", commit {git['commit'][:12]}{' with changes' if git['is_dirty'] else ''}" if git else ""
    gpus = "".join(f", {gpu['name']}" for gpu in environment["gpu"])
    torch_version = environment["packages"].get("torch", "unknown")
    machine = f"{cpu['model']}, {cpu['cores']} cores{gpus}"
    return f"afdcd {environment['code']}{commit}; torch {torch_version}; {machine}."
