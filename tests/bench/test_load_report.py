"""The report of a load measurement: figures, pictures and the verdict, from the JSON alone."""

import re
from xml.etree import ElementTree

import pytest

from bench.json_text import json_text
from bench.load.config import Bound, LoadConfig, SweepConfig
from bench.load.early_stopping import EarlyStopping
from bench.load.report_html import render_html
from bench.load.report_markdown import render_markdown, render_terminal
from bench.load.result import LoadResult, ScenarioResult
from bench.load.stage import RESULT_FILE, write_reports
from bench.load.sweep_runs import run_sweep
from bench.load.validity import verdict
from bench.selftest.fake_lanes import LoadBehaviour
from modelpack.environment import fingerprint
from tests.bench.virtual_runner import virtual_runner

BOUND = Bound(percent=99, milliseconds=30)
INVALID = ScenarioResult(
    scenario="multi_stream",
    driver="loadgen",
    metric="99th percentile latency of a query",
    unit="ms",
    value=None,
    is_valid=False,
    reasons=("early stopping was not satisfied",),
    queries=50,
    samples_per_query=8,
    seconds=1.5,
    early_stopping=EarlyStopping(is_met=False, needed_queries=662, estimate_ms=None),
    is_full_length=False,
    runs=(),
    logs="loadgen/multi_stream",
)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A closed loop, an open loop, a search, and an INVALID scenario, in virtual time."""
    runner = virtual_runner(LoadBehaviour(service_ms=5), tmp_path_factory.mktemp("report"))
    runner.closed(4, 5.0)
    runner.open(100.0, 10.0)
    sweep = run_sweep(SweepConfig(bounds=(BOUND,), step_seconds=5, resolution=0.2), runner)
    return LoadResult(
        created="2026-01-02T03:04:05+00:00",
        seconds=60.0,
        verdict=verdict(
            ["multi_stream: early stopping was not satisfied"], noise=["closed-4: busy <machine>"]
        ),
        target="http://host/path",
        bodies=(("street.jpg", 48_000),),
        model={"name": "student"},
        settings=LoadConfig(url="http://host/path"),
        environment=fingerprint(),
        rules={"clock": "time.monotonic_ns"},
        runs=tuple(runner.runs),
        sweep=sweep,
        scenarios=(INVALID,),
    )


@pytest.fixture(scope="module")
def page(result):
    return render_html(result)


def test_reports_are_rendered_from_the_json(result, tmp_path, page):
    (tmp_path / RESULT_FILE).write_text(json_text(result.model_dump(mode="json")))
    write_reports(tmp_path)
    assert LoadResult.read(tmp_path / RESULT_FILE) == result
    assert (tmp_path / "load.html").read_text() == page
    assert (tmp_path / "load.md").read_text() == render_markdown(result)


def test_invalid_stands_at_the_top_of_every_report(result, page):
    assert "Verdict: **INVALID: multi_stream: early stopping" in render_markdown(result).split("\n- ")[0]
    assert "Verdict: INVALID" in render_terminal(result)
    assert page.index("INVALID. Do not use these figures") < page.index('class="cards"')


def test_an_invalid_scenario_is_told_with_its_reason(result):
    assert "multi_stream (loadgen): 99th percentile latency of a query no value" in render_terminal(result)
    assert "INVALID: early stopping was not satisfied" in render_markdown(result)


def test_the_rate_that_was_found_is_the_headline(result):
    assert f"{result.sweep.best_rate:.0f} requests/s keep p99 ≤ 30 ms" in render_markdown(result)


def test_every_step_of_the_search_is_in_the_report(result):
    text = render_markdown(result)
    section = text.split("## Search for the highest rate")[1].split("\n## ")[0]
    assert section.count("| bracket") + section.count("| bisect") + section.count("| confirm") == len(
        result.sweep.steps
    )
    assert "beyond 30 ms" in section


def test_runs_of_the_search_have_no_card_and_no_line_of_their_own(result, page):
    assert page.count('class="card"') == 2
    assert render_markdown(result).count("| closed-4") == 3


def test_the_page_needs_nothing_else(page):
    assert not re.search(r'(src|href)="(?!#)|@import|url\((?!#)|<script', page)


def test_the_pictures_are_three_drawings(page):
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 3
    for drawing in drawings:
        named = drawing.replace("<svg", '<svg xmlns:xlink="x"', 1)
        assert len(ElementTree.fromstring(named).findall(".//path")) > 5


def test_text_from_outside_is_escaped(page):
    assert "busy &lt;machine&gt;" in page


def test_open_loops_are_also_shown_as_a_tool_without_intended_times_would(result):
    assert "The same answers timed from the actual send" in render_markdown(result)
