"""The tables of a comparison as text cells: laid out by the Markdown, HTML and terminal renderers."""

from collections.abc import Sequence
from statistics import median

from bench.load.result import LoadRun
from bench.service.contestants import IN_PROCESS
from bench.service.heats import HEATS
from bench.service.result import Judged, ServiceResult
from bench.table import NOT_TOLD, Table
from bench.wording import figure, interval

BYTES_PER_MB = 1e6
MS_PER_S = 1e3
SIGNS = {">=": "≥", "<=": "≤"}


def bars(result: ServiceResult) -> Table:
    """The one table to look at first."""
    return Table(
        title="Bars",
        caption="Figure over the rounds with its 95% interval. Clear: the whole interval lies on that side.",
        columns=("bar", "verdict", "clear", "figure", "95% interval", "bar at", "rounds"),
        rows=tuple(_bar(entry) for entry in result.bars),
        text_columns=3,
    )


def figures(result: ServiceResult) -> Table:
    return Table(
        title="Figures",
        caption="Medians over the rounds, lowest and highest round in brackets. Milliseconds; "
        "CPU: of the server's processes for one answer; memory is PSS.",
        columns=("load", "who", "answers/s", "p50", "p99", "CPU ms", "server MB", "invalid visits"),
        rows=tuple(
            _figures(HEATS[heat].text, entry.name, result.runs(entry.name, heat))
            for heat in HEATS
            for entry in result.contestants
            if heat in entry.heats
        ),
        text_columns=2,
    )


def contestants(result: ServiceResult) -> Table:
    return Table(
        title="Who was measured",
        caption=f"The graph is {result.artifact} where nothing else is said.",
        columns=("who", "what answered", "processes"),
        rows=tuple(
            (entry.name, _described(entry.name, entry.description), str(entry.processes))
            for entry in result.contestants
        ),
        text_columns=2,
    )


def faults(result: ServiceResult) -> Table:
    """Visits that were spoiled."""
    return Table(
        title="Spoiled visits",
        caption="Left out of the bars.",
        columns=("visit", "why"),
        rows=tuple(
            (visit.run.name, "; ".join(visit.run.verdict.faults + visit.run.verdict.generator_faults))
            for visit in result.visits
            if visit.run.verdict.state == "invalid"
        ),
        text_columns=2,
    )


def all_tables(result: ServiceResult) -> list[Table]:
    """Every table that has rows, the most important first."""
    return [table for table in (make(result) for make in (bars, figures, contestants, faults)) if table.rows]


def bar_at(entry: Judged) -> str:
    """As in `≥ 0.85`."""
    return f"{SIGNS[entry.relation]} {entry.limit:g}{f' {entry.unit}' if entry.unit else ''}"


def state_text(entry: Judged) -> str:
    return "INVALID" if entry.state == "invalid" else entry.state


def _bar(entry: Judged) -> tuple[str, ...]:
    if entry.value is None or entry.lower is None or entry.upper is None:
        return (entry.text, state_text(entry), NOT_TOLD, NOT_TOLD, NOT_TOLD, bar_at(entry), str(entry.rounds))
    return (
        entry.text,
        state_text(entry),
        "yes" if entry.is_clear else "no",
        figure(entry.value),
        interval(entry.lower, entry.upper),
        bar_at(entry),
        str(entry.rounds),
    )


def _figures(heat: str, name: str, runs: Sequence[LoadRun]) -> tuple[str, ...]:
    servers = [run.server for run in runs if run.server is not None]
    return (
        heat,
        name,
        _spread([run.ok_per_second for run in runs]),
        _spread(_percentiles(runs, 50)),
        _spread(_percentiles(runs, 99)),
        _spread(_cpu_ms(runs)),
        _spread([server.memory_bytes / BYTES_PER_MB for server in servers]),
        str(sum(run.verdict.state == "invalid" for run in runs)),
    )


def _cpu_ms(runs: Sequence[LoadRun]) -> list[float]:
    """CPU time of the server for one answer, by run: what a busy machine changes least."""
    used = [(run.server.cpu, run.ok_per_second) for run in runs if run.server is not None]
    return [cpu / rate * MS_PER_S for cpu, rate in used if cpu is not None and rate]


def _percentiles(runs: Sequence[LoadRun], percent: float) -> list[float]:
    found = (run.percentile(percent) for run in runs)
    return [entry.value for entry in found if entry is not None and entry.value is not None]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return NOT_TOLD
    return f"{figure(median(values))} [{figure(min(values))}, {figure(max(values))}]"


def _described(name: str, told: dict[str, object]) -> str:
    """The runtime and its version, wherever the description holds them."""
    runtime = told.get("runtime")
    facts = runtime if isinstance(runtime, dict) else told
    said = [str(facts[key]) for key in ("runtime", "version", "provider", "graph") if key in facts]
    kind = "without HTTP, " if name.startswith(IN_PROCESS) else ""
    return kind + " ".join(said)
