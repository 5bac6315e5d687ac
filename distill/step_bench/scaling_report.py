"""Render for people what several processes gain over one."""

from distill.step_bench.intervals import Interval
from distill.step_bench.report import code_and_machine, interval
from distill.step_bench.scaling_result import Mode, ModeFigures, StepScaling


def render_scaling(result: StepScaling) -> str:
    """What was measured, a line for each mode, and what the loss is made of."""
    count = result.processes
    names: dict[Mode, str] = {
        "one": "one process",
        "apart": f"{count} processes, each for itself",
        "together": f"{count} processes, one training",
    }
    share: dict[Mode, str] = {
        "one": "100 %",
        "apart": _percent(result.machine),
        "together": _percent(result.efficiency),
    }
    height, width = result.crop
    teacher = f", teacher {result.teacher}" if result.teacher else ""
    variant = f" (variant {result.variant})" if result.variant else ""
    unsettled = [names[figures.mode] for figures in result.modes if not figures.warm_up.is_stationary]
    lines = [
        f"# {result.name}: {count} processes against one",
        "",
        f"Student {result.student}{teacher}; methods {', '.join(result.methods) or 'none'}{variant}; "
        f"{result.batch} images of {height}x{width} from {result.data} for each process; {result.precision} "
        f"on {result.device}, threads of each process: {result.threads}; {result.backend}, batch norm "
        f"{'over all processes' if result.sync_norm else 'of each process'}; {result.rounds} rounds of all "
        f"three in turn, {result.steps} steps each.",
        "",
        f"| | ms a step | images/s | of {count} times one |",
        "|---|--:|--:|--:|",
        *(_line(names[figures.mode], figures, share[figures.mode]) for figures in result.modes),
        "",
        f"- Efficiency: {_percent(result.efficiency)}",
        f"- Of that, the machine allows {_percent(result.machine)}: processes that share nothing but cores, "
        f"caches and memory; exchanging gradients and statistics leaves {_percent(result.exchange)} of it",
        "- Medians over the steps of all processes; brackets: 95 % bootstrap interval over rounds",
        *(f"- The time of {name} did not stand still in the warm-up" for name in unsettled),
        "",
        code_and_machine(result.environment),
        "",
    ]
    return "\n".join(lines)


def _line(name: str, figures: ModeFigures, share: str) -> str:
    return f"| {name} | {interval(figures.step_ms, 1)} | {interval(figures.images_per_s)} | {share} |"


def _percent(ratio: Interval) -> str:
    return f"{100 * ratio.value:.1f} % [{100 * ratio.lower:.1f}, {100 * ratio.upper:.1f}]"
