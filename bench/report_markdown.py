"""A latency result as Markdown, and what of it the command prints."""

from bench.report_facts import environment_facts, first_reasons, headline_sentences, method_facts
from bench.report_tables import all_tables, summary
from bench.result import BenchResult
from bench.table import markdown, markdown_section


def render_markdown(result: BenchResult) -> str:
    """The whole report."""
    tables = "\n\n".join(markdown_section(table) for table in all_tables(result))
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
    skipped = [f"Not measured: {entry}" for entry in result.skipped]
    return "\n".join([markdown(summary(result)), "", *_headline(result), *skipped]).replace("**", "")


def _headline(result: BenchResult) -> list[str]:
    return [
        *(f"{sentence}.  " for sentence in headline_sentences(result)),
        f"Verdict: {_verdict(result)}",
    ]


def _verdict(result: BenchResult) -> str:
    reasons = "; ".join(first_reasons(result.verdict))
    return f"**{result.verdict.state}**" + (f": {reasons}." if reasons else ".")
