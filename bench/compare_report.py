"""A comparison as Markdown and for the terminal."""

from bench.compare import ComparisonResult, Pair
from bench.table import Table, markdown, markdown_section
from bench.wording import figure, interval


def render_markdown(result: ComparisonResult) -> str:
    """The whole report."""
    return "\n".join(
        [
            f"# {result.b} against {result.a}",
            "",
            conclusion(result),
            "",
            markdown_section(pairs(result)),
            *_list("Conditions that differ, and doubts", result.warnings),
            *_list("Not compared", result.unpaired),
            *_list("How it was compared", [f"{name}: {text}" for name, text in result.rules.items()]),
            "",
        ]
    )


def render_terminal(result: ComparisonResult) -> str:
    """What the command prints."""
    doubts = [f"warning: {text}" for text in result.warnings]
    left_out = [f"not compared: {text}" for text in result.unpaired]
    return "\n".join([markdown(pairs(result)), "", *doubts, *left_out, conclusion(result)])


def conclusion(result: ComparisonResult) -> str:
    """One sentence: what was found, and against which limit."""
    counts = {
        finding: sum(pair.finding == finding for pair in result.pairs)
        for finding in ("slower", "faster", "no difference")
    }
    found = ", ".join(f"{count} {finding}" for finding, count in counts.items() if count)
    text = f"{result.b} against {result.a}, {len(result.pairs)} cases: {found}"
    if result.limit is None:
        return f"{text}."
    if not result.failures:
        return f"{text}; none is slower by more than {percent(result.limit)} with its whole interval."
    names = "; ".join(pair.name for pair in result.failures)
    return f"{text}; slower by more than {percent(result.limit)} with the whole interval: {names}."


def pairs(result: ComparisonResult) -> Table:
    return Table(
        title="Median latency",
        caption=f"A is {result.a}, B is {result.b}. Times: B's median over A's, with its 95% interval.",
        columns=("case", "finding for B", "A ms", "B ms", "times", "95% interval", "samples A", "samples B"),
        rows=tuple(
            (
                pair.name,
                _finding(pair),
                figure(pair.a_median_ms),
                figure(pair.b_median_ms),
                figure(pair.ratio.value, digits=4),
                interval(pair.ratio.lower, pair.ratio.upper),
                str(pair.a_samples),
                str(pair.b_samples),
            )
            for pair in result.pairs
        ),
        text_columns=2,
    )


def percent(share: float) -> str:
    return f"{share * 100:g}%"


def _finding(pair: Pair) -> str:
    return f"{pair.finding}, beyond the limit" if pair.exceeds_limit else pair.finding


def _list(title: str, entries: tuple[str, ...] | list[str]) -> list[str]:
    return ["", f"## {title}", "", *(f"- {entry}" for entry in entries)] if entries else []
