"""A load result as one HTML file that needs nothing else: no script, no font, no request."""

from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, StrictUndefined

from bench.load import plots
from bench.load.report_facts import environment_facts, first_reasons, headlines, method_facts, model_facts
from bench.load.report_tables import all_tables, load_text, shown_runs
from bench.load.result import LoadResult, LoadRun
from bench.report_facts import flat
from bench.wording import figure

TEMPLATE = "load/report_load.html"
STYLESHEET = "report.css"
MAX_CARDS = 8


@dataclass(frozen=True)
class Card:
    """One run as it is seen first."""

    name: str
    colour: str
    sign: str
    big: str
    unit: str
    state: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Plot:
    """One picture; the caption says what to see in it."""

    title: str
    caption: str
    svg: str
    has_legend: bool = True


def render_html(result: LoadResult) -> str:
    """The whole report."""
    files = resources.files("bench")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files.joinpath(TEMPLATE).read_text(encoding="utf-8"))
    return template.render(
        title=f"Load on {result.target}",
        subtitle=_subtitle(result),
        css=files.joinpath(STYLESHEET).read_text(encoding="utf-8"),
        state=result.verdict.state,
        reasons=first_reasons(result),
        headlines=headlines(result),
        cards=[_card(result, run) for run in shown_runs(result)[:MAX_CARDS]],
        plots=_plots(result),
        tables=all_tables(result),
        details={
            "How it was measured": method_facts(result),
            "What answered": model_facts(result),
            "Machine, software and code": environment_facts(result),
            "Settings": {
                name: flat(value) for name, value in result.settings.model_dump(mode="json").items()
            },
        },
    )


def _subtitle(result: LoadResult) -> str:
    cpu = result.environment["cpu"]
    name = f"{result.model['name']}, " if result.model and "name" in result.model else ""
    return f"{name}{result.created[:16].replace('T', ' ')} UTC, from {cpu['model']}, {cpu['cores']} cores"


def _card(result: LoadResult, run: LoadRun) -> Card:
    p99, median = run.percentile(99), run.percentile(50)
    shown = next((entry for entry in (p99, median) if entry and entry.value is not None), None)
    lines = [load_text(run), f"{figure(run.ok_per_second)} answers/s of {run.queries} queries"]
    if median and median.value is not None and shown is not median:
        lines.append(f"median {figure(median.value)} ms")
    return Card(
        name=run.name,
        colour=plots.colour(result, run),
        sign=plots.sign(result, run),
        big=figure(shown.value) if shown and shown.value is not None else "n too small",
        unit=f"ms, p{shown.percent:g}" if shown else f"({run.queries} queries)",
        state=run.verdict.state,
        lines=tuple(lines),
    )


def _plots(result: LoadResult) -> list[Plot]:
    found = []
    if any(run.curve.percents for run in shown_runs(result)):
        found.append(
            Plot(
                "The tail",
                "Latency that a share of the queries stays within; closed loops dotted. Lower is better.",
                plots.tail(result),
            )
        )
        found.append(
            Plot(
                "Over time",
                "Slowest query of every stretch, its median dotted. Stalls and growing queues show.",
                plots.over_time(result),
            )
        )
    if result.sweep is not None and result.sweep.steps:
        found.append(
            Plot(
                "Search for the highest rate",
                "Every step; a cross missed a bound, the vertical line is the answer.",
                plots.rates(result),
                has_legend=False,
            )
        )
    return found
