"""A comparison as one HTML file that needs nothing else: no script, no font, no request."""

from importlib import resources
from statistics import median

from jinja2 import Environment, StrictUndefined

from bench.load.report_html import STYLESHEET, TEMPLATE, Card, Plot
from bench.report_facts import flat
from bench.service import plots
from bench.service.heats import FEW, MANY, OPEN
from bench.service.report_facts import (
    environment_facts,
    first_reasons,
    headlines,
    method_facts,
    summary,
)
from bench.service.report_tables import all_tables
from bench.service.result import ContestantFacts, ServiceResult
from bench.wording import figure


def render_html(result: ServiceResult) -> str:
    """The whole report."""
    files = resources.files("bench")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files.joinpath(TEMPLATE).read_text(encoding="utf-8"))
    cpu = result.environment["cpu"]
    return template.render(
        title=f"Service: {result.model}",
        subtitle=f"{result.created[:16].replace('T', ' ')} UTC, {cpu['model']}, {cpu['cores']} cores. "
        f"{summary(result)}.",
        css=files.joinpath(STYLESHEET).read_text(encoding="utf-8"),
        state=result.verdict.state,
        reasons=first_reasons(result),
        headlines=headlines(result),
        cards=[_card(result, entry) for entry in result.contestants],
        plots=_plots(result),
        tables=all_tables(result),
        details={
            "How it was measured": method_facts(result),
            "Machine, software and code": environment_facts(result),
            "Settings": {
                name: flat(value) for name, value in result.settings.model_dump(mode="json").items()
            },
        },
    )


def _card(result: ServiceResult, entry: ContestantFacts) -> Card:
    """With 16 clients; of one image at a time, its latency."""
    heat = MANY.name if MANY.name in entry.heats else entry.heats[0]
    runs = result.runs(entry.name, heat)
    states = [run.verdict.state for run in runs]
    rate = median(run.ok_per_second for run in runs)
    spoiled = states.count("invalid")
    middles = [p.value for run in runs if (p := run.percentile(50)) and p.value is not None]
    return Card(
        name=entry.name,
        colour=plots.colour(result, entry.name),
        sign=plots.sign(result, entry.name),
        big=figure(rate),
        unit="answers/s",
        state="invalid" if spoiled else ("noisy" if "noisy" in states else "valid"),
        lines=(
            *((f"median {figure(median(middles))} ms",) if middles else ()),
            f"{len(runs)} rounds" + (f", {spoiled} spoiled" if spoiled else ""),
        ),
    )


def _plots(result: ServiceResult) -> list[Plot]:
    return [
        Plot(
            "Answers per second",
            "By load; lines reach from the lowest round to the highest. Higher is better.",
            plots.throughput(result),
        ),
        Plot(
            f"Latency with {FEW.text}",
            "Latency that a share of the requests stays within. Lower is better.",
            plots.tail(result, FEW),
        ),
        Plot(
            "Latency of the open loop",
            "The same at half of the capacity, or what share was asked for, from the intended send.",
            plots.tail(result, OPEN),
        ),
    ]
