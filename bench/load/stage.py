"""The stage `bench load`: load, and leave settings, JSON, Markdown and HTML beside the raw samples."""

import shutil
from pathlib import Path

from bench.json_text import json_text
from bench.load.agreement import Agreement, compare_generators
from bench.load.config import LoadConfig
from bench.load.report_html import render_html
from bench.load.report_markdown import render_markdown
from bench.load.result import LoadResult
from bench.load.run import run_load
from bench.load.runner import RAW_FOLDER
from bench.progress import shown
from modelpack.atomic import write_json, write_text

SETTINGS_FILE = "settings.json"
RESULT_FILE = "load.json"
MARKDOWN_FILE = "load.md"
HTML_FILE = "load.html"
AGREEMENT_FILE = "agreement.json"


def measure_load(config: LoadConfig, folder: Path) -> LoadResult:
    """Load and write the four files into `folder`; shows progress on stderr. Raises as `run_load` does.

    Raw samples that an earlier measurement left there are replaced.
    """
    shutil.rmtree(folder / RAW_FOLDER, ignore_errors=True)
    with shown() as report:
        result = run_load(config, folder, report)
    write_json(folder / SETTINGS_FILE, result.settings.model_dump(mode="json"))
    write_text(folder / RESULT_FILE, json_text(result.model_dump(mode="json")))
    write_reports(folder)
    return result


def measure_agreement(config: LoadConfig, folder: Path) -> Agreement:
    """Hold our generator against another and write the visits into `folder`."""
    with shown() as report:
        result = compare_generators(config, report)
    write_text(folder / AGREEMENT_FILE, json_text(result.model_dump(mode="json")))
    return result


def write_reports(folder: Path) -> None:
    """Render Markdown and HTML from the JSON that stands in `folder`."""
    result = LoadResult.read(folder / RESULT_FILE)
    write_text(folder / MARKDOWN_FILE, render_markdown(result))
    write_text(folder / HTML_FILE, render_html(result))
