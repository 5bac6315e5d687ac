"""The tables of a load report as text cells: laid out by the Markdown, HTML and terminal renderers."""

from bench.load.loops import ClosedLoop
from bench.load.result import LoadResult, LoadRun
from bench.statistics import Percentile
from bench.table import NOT_TOLD, Table
from bench.wording import figure, mebibytes, percentile_cell


def summary(result: LoadResult) -> Table:
    """The one table to look at first: loops that were asked for, not the steps of a search."""
    runs = shown_runs(result)
    return Table(
        title="Latency under load",
        caption="ms; open loops from the intended send, closed loops from the send. Rates are per second.",
        columns=("run", "verdict", "load", "queries", "ok/s", *percentile_names(runs), "max", "errors"),
        rows=tuple(
            (
                run.name,
                run.verdict.state.upper() if run.verdict.state == "invalid" else run.verdict.state,
                load_text(run),
                str(run.queries),
                figure(run.ok_per_second),
                *(percentile_cell(entry, with_interval=False) for entry in run.latency),
                _number(run.max_ms),
                str(run.queries - run.ok),
            )
            for run in runs
        ),
        text_columns=3,
    )


def intervals(result: LoadResult) -> Table:
    runs = shown_runs(result)
    return Table(
        title="Percentiles with their intervals",
        caption="ms; 95% intervals between order statistics of the raw samples.",
        columns=("run", *percentile_names(runs), "mean"),
        rows=tuple(
            (
                run.name,
                *(percentile_cell(entry, with_interval=True) for entry in run.latency),
                _number(run.mean_ms),
            )
            for run in runs
        ),
    )


def blindness(result: LoadResult) -> Table:
    """What timing from the actual send would have hidden."""
    runs = [run for run in shown_runs(result) if run.loop.kind == "open"]
    return Table(
        title="The same answers timed from the actual send",
        caption="ms; what a tool without intended times would say of the open loops.",
        columns=("run", *percentile_names(runs)),
        rows=tuple(
            (run.name, *(percentile_cell(entry, with_interval=False) for entry in run.service))
            for run in runs
        ),
    )


def generator(result: LoadResult) -> Table:
    return Table(
        title="Generator and server meanwhile",
        caption="Lag, ms: how late the generator turned to a query. CPU in cores. Memory: PSS.",
        columns=(
            "run", "lag p50", "lag p99", "lag max", "generator CPU", "connections", "retries", "waits",
            "server CPU", "server MiB", "others' CPU",
        ),
        rows=tuple(
            (
                run.name,
                *(percentile_cell(entry, with_interval=False) for entry in run.generator.lag_ms),
                figure(run.generator.max_lag_ms),
                figure(run.generator.cpu),
                str(run.generator.transport.connections),
                str(run.generator.transport.retries),
                str(run.generator.transport.waits),
                _number(run.server.cpu if run.server else None),
                mebibytes(run.server.memory_bytes) if run.server else NOT_TOLD,
                NOT_TOLD if run.other_load is None else f"{run.other_load:.0%}",
            )
            for run in result.runs
        ),
    ).without_untold_columns()  # fmt: skip


def failures(result: LoadResult) -> Table:
    """Runs in which something failed."""
    return Table(
        title="Failures",
        caption="Queries that were not answered as expected.",
        columns=("run", "what", "queries"),
        rows=tuple((run.name, kind, str(count)) for run in result.runs for kind, count in run.errors.items()),
        text_columns=2,
    )


def sweep_steps(result: LoadResult) -> Table:
    steps = result.sweep.steps if result.sweep else ()
    bounds = result.sweep.bounds if result.sweep else ()
    return Table(
        title="Search for the highest rate",
        caption="Every step, in order. Latencies in ms.",
        columns=("step", "outcome", "why not", "rate/s", *(f"p{bound.percent:g}" for bound in bounds)),
        rows=tuple(
            (
                step.purpose,
                "keeps the bounds" if step.keeps_bounds else "does not",
                "; ".join(step.reasons) or NOT_TOLD,
                figure(step.rate),
                *(_percentile(result.run(step.run), bound.percent) for bound in bounds),
            )
            for step in steps
        ),
        text_columns=3,
    )


def scenarios(result: LoadResult) -> Table:
    return Table(
        title="MLPerf scenarios",
        caption="INVALID results are no results. Without the published length they compare with nobody's.",
        columns=(
            "scenario",
            "driver",
            "verdict",
            "metric",
            "published length",
            "unit",
            "value",
            "queries",
            "seconds",
        ),
        rows=tuple(
            (
                entry.scenario,
                entry.driver,
                "VALID" if entry.is_valid else "INVALID",
                entry.metric,
                "yes" if entry.is_full_length else "no, shorter",
                entry.unit,
                _number(entry.value),
                str(entry.queries),
                figure(entry.seconds),
            )
            for entry in result.scenarios
        ),
        text_columns=6,
    )


def all_tables(result: LoadResult) -> list[Table]:
    """Every table that has rows, the most important first."""
    makers = (scenarios, summary, sweep_steps, intervals, blindness, failures, generator)
    return [table for table in (make(result) for make in makers) if table.rows]


def shown_runs(result: LoadResult) -> list[LoadRun]:
    """All runs but those of the search, which have a table of their own."""
    searched = result.sweep.runs if result.sweep else set()
    return [run for run in result.runs if run.name not in searched]


def load_text(run: LoadRun) -> str:
    loop = run.loop
    if isinstance(loop, ClosedLoop):
        samples = f" of {loop.samples_per_query} samples" if loop.samples_per_query > 1 else ""
        return f"{loop.clients} client{'s' * (loop.clients != 1)}, one query{samples} each"
    return f"{figure(loop.rate)}/s, {loop.arrivals}"


def percentile_names(runs: list[LoadRun]) -> tuple[str, ...]:
    """Of the first run: all loops of one measurement have the same."""
    return tuple(f"p{entry.percent:g}" for entry in runs[0].latency) if runs else ()


def _percentile(run: LoadRun, percent: float) -> str:
    entry: Percentile | None = run.percentile(percent)
    return percentile_cell(entry, with_interval=False) if entry else NOT_TOLD


def _number(value: float | None) -> str:
    return NOT_TOLD if value is None else figure(value)
