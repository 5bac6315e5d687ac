"""The stage `bench serve`: measure, and leave JSON, Markdown, picture and HTML beside the raw samples."""

import shutil
from pathlib import Path

from bench.json_text import json_text
from bench.load.runner import RAW_FOLDER
from bench.progress import shown
from bench.service.config import ServiceConfig
from bench.service.plots import write_picture
from bench.service.report_html import render_html
from bench.service.report_markdown import PICTURE_FILE, render_markdown
from bench.service.result import ServiceResult
from bench.service.run import run_service
from modelpack.atomic import write_json, write_text

SETTINGS_FILE = "settings.json"
RESULT_FILE = "service.json"
MARKDOWN_FILE = "service.md"
HTML_FILE = "service.html"


def measure_service(config: ServiceConfig, folder: Path) -> ServiceResult:
    """Measure and write the files into `folder`; shows progress on stderr. Raises as `run_service` does.

    Raw samples that an earlier measurement left there are replaced.
    """
    shutil.rmtree(folder / RAW_FOLDER, ignore_errors=True)
    with shown() as report:
        result = run_service(config, folder, report)
    write_json(folder / SETTINGS_FILE, config.model_dump(mode="json"))
    write_text(folder / RESULT_FILE, json_text(result.model_dump(mode="json")))
    write_reports(folder)
    return result


def write_reports(folder: Path) -> None:
    """Render Markdown, picture and HTML from the JSON that stands in `folder`."""
    result = ServiceResult.read(folder / RESULT_FILE)
    write_picture(result, folder / PICTURE_FILE)
    write_text(folder / MARKDOWN_FILE, render_markdown(result))
    write_text(folder / HTML_FILE, render_html(result))
