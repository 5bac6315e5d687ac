"""A load result as Markdown whose tables line up, so that it reads on a terminal too."""

from bench.load.report_facts import (
    environment_facts,
    headlines,
    method_facts,
    model_facts,
    verdict_text,
)
from bench.load.report_tables import all_tables
from bench.load.result import LoadResult
from bench.table import markdown, markdown_section


def render_markdown(result: LoadResult) -> str:
    """The whole report."""
    return "\n".join(
        [
            f"# Load: {result.target}",
            "",
            f"Verdict: **{verdict_text(result)}**",
            "",
            *(f"- {line}" for line in headlines(result)),
            "",
            "\n\n".join(markdown_section(table) for table in all_tables(result)),
            "",
            *_facts("How it was measured", method_facts(result)),
            *_facts("What answered", model_facts(result)),
            *_facts("Where", environment_facts(result)),
        ]
    )


def render_terminal(result: LoadResult) -> str:
    """What the command prints: the table to look at first, and whether to believe it."""
    tables = all_tables(result)
    shown = [markdown(tables[0]), ""] if tables else []
    return "\n".join([*shown, *headlines(result), f"Verdict: {verdict_text(result)}"])


def _facts(title: str, facts: dict[str, str]) -> list[str]:
    if not facts:
        return []
    return [f"## {title}", "", *(f"- {name}: {text}" for name, text in facts.items()), ""]
