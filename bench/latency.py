"""The stage `bench latency`: measure, and leave settings, JSON, Markdown and HTML beside each other."""

from pathlib import Path

from bench.config import BenchConfig
from bench.measure import measure
from bench.progress import shown
from bench.report_html import render_html
from bench.report_markdown import render_markdown
from bench.result import BenchResult
from modelpack.atomic import write_json, write_text

SETTINGS_FILE = "settings.json"
RESULT_FILE = "latency.json"
MARKDOWN_FILE = "latency.md"
HTML_FILE = "latency.html"


def measure_latency(config: BenchConfig, folder: Path) -> BenchResult:
    """Measure and write the four files into `folder`; shows progress on stderr. Raises as `measure` does."""
    with shown() as report:
        result = measure(config, report)
    write_json(folder / SETTINGS_FILE, config.model_dump(mode="json"))
    write_text(folder / RESULT_FILE, result.to_json())
    write_reports(folder)
    return result


def write_reports(folder: Path) -> None:
    """Render Markdown and HTML from the JSON that stands in `folder`."""
    result = BenchResult.read(folder / RESULT_FILE)
    write_text(folder / MARKDOWN_FILE, render_markdown(result))
    write_text(folder / HTML_FILE, render_html(result))
