"""A latency result as Markdown whose tables line up, so that it reads on a terminal too."""

from collections.abc import Sequence

from bench.report_facts import environment_facts, first_reasons, headline_sentences, method_facts
from bench.report_tables import Table, all_tables, summary
from bench.result import BenchResult


def render_markdown(result: BenchResult) -> str:
    """The whole report."""
    tables = "\n\n".join(
        f"## {table.title}\n\n{table.caption}\n\n{_layout(table)}" for table in all_tables(result)
    )
    return "\n".join(
        [
            f"# Latency: {', '.join(entry.name for entry in result.sessions)}",
            "",
            *_headline(result),
            "",
            tables,
            "",
            "## How it was measured",
            "",
            *(f"- {name}: {text}" for name, text in method_facts(result).items()),
            "",
            "## Where",
            "",
            *(f"- {name}: {text}" for name, text in environment_facts(result).items()),
            "",
        ]
    )


def render_terminal(result: BenchResult) -> str:
    """What the command prints: the table to look at first, and whether to believe it."""
    return "\n".join([_layout(summary(result)), "", *_headline(result)]).replace("**", "")


def _headline(result: BenchResult) -> list[str]:
    return [
        *(f"{sentence}.  " for sentence in headline_sentences(result)),
        f"Verdict: {_verdict(result)}",
    ]


def _verdict(result: BenchResult) -> str:
    reasons = "; ".join(first_reasons(result.verdict))
    return f"**{result.verdict.state}**" + (f": {reasons}." if reasons else ".")


def _layout(table: Table) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(table.columns, *table.rows, strict=True)]
    rule = [
        "-" * width if i < table.text_columns else "-" * (width - 1) + ":" for i, width in enumerate(widths)
    ]
    return "\n".join(_line(cells, widths, table.text_columns) for cells in (table.columns, rule, *table.rows))


def _line(cells: Sequence[str], widths: list[int], text_columns: int) -> str:
    aligned = (
        cell.ljust(width) if i < text_columns else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(aligned)} |"
