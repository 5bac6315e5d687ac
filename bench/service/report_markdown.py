"""A comparison as Markdown whose tables line up, so that it reads on a terminal too."""

from bench.service.report_facts import environment_facts, method_facts, summary, verdict_text
from bench.service.report_tables import all_tables
from bench.service.result import ServiceResult
from bench.table import markdown, markdown_section

PICTURE_FILE = "service.png"


def render_markdown(result: ServiceResult) -> str:
    """The whole report."""
    return "\n".join(
        [
            f"# Service: {result.model}",
            "",
            f"Verdict: **{verdict_text(result)}** {summary(result)}.",
            "",
            f"![answers per second by load, and latency]({PICTURE_FILE})",
            "",
            "\n\n".join(markdown_section(table) for table in all_tables(result)),
            "",
            *_facts("How it was measured", method_facts(result)),
            *_facts("Where", environment_facts(result)),
        ]
    )


def render_terminal(result: ServiceResult) -> str:
    """What the command prints: figures, bars, and whether to believe them."""
    bars, figures, *_ = all_tables(result)
    return "\n".join([markdown(figures), "", markdown(bars), "", f"{summary(result)}.", verdict_text(result)])


def _facts(title: str, facts: dict[str, str]) -> list[str]:
    return [f"## {title}", "", *(f"- {name}: {text}" for name, text in facts.items()), ""]
