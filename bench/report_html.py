"""A latency result as one HTML file that needs nothing else: no script, no font, no request."""

from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, StrictUndefined

from bench import pareto, plots
from bench.drawing import colour, sign
from bench.report_facts import environment_facts, first_reasons, flat, method_facts
from bench.report_tables import all_tables
from bench.result import BenchResult, CaseResult
from bench.wording import figure, interval, mebibytes

TEMPLATE = "report_latency.html"
STYLESHEET = "report.css"


@dataclass(frozen=True)
class Card:
    """One figure that is seen first."""

    name: str
    colour: str
    sign: str
    big: str
    unit: str
    gain: str
    """Against the baseline; empty for the baseline itself."""
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Plot:
    """One picture; the caption says what to see in it."""

    title: str
    caption: str
    svg: str


def render_html(result: BenchResult) -> str:
    """The whole report."""
    files = resources.files("bench")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files.joinpath(TEMPLATE).read_text(encoding="utf-8"))
    return template.render(
        title=f"Latency of {' and '.join(dict.fromkeys(entry.label for entry in result.sessions))}",
        subtitle=_subtitle(result),
        css=files.joinpath(STYLESHEET).read_text(encoding="utf-8"),
        state=result.verdict.state,
        reasons=first_reasons(result.verdict),
        skipped=result.skipped,
        cards=_cards(result),
        plots=_plots(result),
        tables=all_tables(result),
        methods=method_facts(result).items(),
        environment=environment_facts(result).items(),
        settings=[(name, flat(value)) for name, value in result.settings.model_dump(mode="json").items()],
    )


def _subtitle(result: BenchResult) -> str:
    devices = " and ".join(dict.fromkeys(entry.device for entry in result.sessions))
    cpu = result.environment["cpu"]
    machine = f"{cpu['model']}, {cpu['cores']} cores"
    return f"{result.created[:16].replace('T', ' ')} UTC, on {devices} ({machine})"


def _cards(result: BenchResult) -> list[Card]:
    first = result.cases[0].boundary
    return [_card(result, case) for case in result.cases_at(first, result.smallest_batch)]


def _card(result: BenchResult, case: CaseResult) -> Card:
    session = result.session(case.session)
    median = case.percentile(50)
    lines = [f"median of {case.samples} runs, {case.boundary}, batch {case.batch}"]
    if median.lower is not None and median.upper is not None:
        lines.append(f"95% interval {interval(median.lower, median.upper)} ms")
    if (claim := session.miou()) is not None:
        lines.append(f"mIoU {figure(claim.value, digits=4)} on {claim.dataset} {claim.split}")
    lines.append(f"{session.artifact}, {mebibytes(session.size_bytes)} MiB on disk")
    return Card(
        name=session.name,
        colour=colour(result, session.name),
        sign=sign(result, session.name),
        big=figure(median.value) if median.value is not None else "n too small",
        unit="ms" if median.value is not None else f"({case.samples} runs)",
        gain=_gain(result, case),
        lines=tuple(lines),
    )


def _gain(result: BenchResult, case: CaseResult) -> str:
    for entry in result.comparisons:
        if (entry.session, entry.boundary, entry.batch) == (case.session, case.boundary, case.batch):
            times = (
                f"{figure(entry.speedup.value)} × as fast as" if entry.speedup.is_different else "as fast as"
            )
            return f"{times} {entry.baseline} {interval(entry.speedup.lower, entry.speedup.upper)}"
    return ""


def _plots(result: BenchResult) -> list[Plot]:
    smallest = result.smallest_batch
    drawn = [
        Plot(
            title=f"Latency: {boundary}, batch {smallest}",
            caption=f"{text}. Further left is faster, steeper is steadier.",
            svg=plots.distribution(result, boundary),
        )
        for boundary, text in result.boundaries.items()
    ]
    if len({case.batch for case in result.cases_at("graph")}) > 1:
        drawn.append(
            Plot(
                "Throughput",
                "One caller, one call after the other. Higher is better.",
                plots.throughput(result),
            )
        )
    if pareto.points(result):
        drawn.append(
            Plot(
                title="Accuracy against latency",
                caption=f"Graph, batch {smallest}: median, with a line to p90. Up and left is better. Beaten "
                f"by none: {', '.join(point.session for point in pareto.front(pareto.points(result)))}.",
                svg=plots.accuracy(result),
            )
        )
    drawn.append(
        Plot(
            title="Steadiness",
            caption=f"Median per round against that of all, batch {smallest}; image dotted. Flat is good.",
            svg=plots.steadiness(result),
        )
    )
    return drawn
