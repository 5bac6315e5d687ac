"""The report of `bench serve`: bars beside figures, from the JSON alone; and what the command exits with."""

import re
from xml.etree import ElementTree

import cv2
import pytest

from bench.__main__ import app
from bench.commands import serve as command
from bench.config import from_recipe
from bench.json_text import json_text
from bench.service.config import read_service_config
from bench.service.report_html import render_html
from bench.service.report_markdown import render_markdown, render_terminal
from bench.service.result import ServiceResult
from bench.service.stage import RESULT_FILE, write_reports
from modelpack.command import run
from modelpack.errors import SettingsError
from tests.bench.service_runs import rounds, service_result

MISSED = {"ours/closed-16": {"per_second": 84.5}}
SPOILED = [(number, "ours", "closed-4") for number in range(4)]


@pytest.fixture(scope="module")
def result():
    return service_result(rounds(**MISSED))


def test_every_bar_stands_beside_its_figure_and_a_missed_one_says_so(result):
    line = next(
        line for line in render_terminal(result).splitlines() if "16 clients, of the same work" in line
    )
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:] == ["missed", "yes", "0.845", "[0.8450, 0.8450]", "≥ 0.85", "4"]
    assert "10.5 [10.5, 10.5]" in render_terminal(result)  # ms of CPU for one of 95 answers a second
    assert "6 of 7 bars met (ours-16-of-in-process missed)" in render_markdown(result)


def test_what_was_spoiled_is_invalid_and_has_no_figure():
    text = render_markdown(service_result(rounds(late=SPOILED)))
    assert "Verdict: **INVALID: ours: answers/s with 4 clients" in text
    assert re.search(r"\| p99 with 4 clients, of the naive endpoint +\| INVALID \| - +\| +- \|", text)
    assert "| round1-closed-4-ours | the generator was late |" in text


def test_the_page_needs_nothing_from_outside(result):
    page = render_html(result)
    assert not re.search(r'(src|href)="(?!#)|@import|url\((?!#)|<script', page)
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 3
    for picture in pictures:
        ElementTree.fromstring(picture.replace("<svg", '<svg xmlns:xlink="x"', 1))
    assert "ours: answers/s with 16 clients, of the same work in process: 0.845" in page


def test_reports_are_made_from_the_json_alone(result, tmp_path):
    (tmp_path / RESULT_FILE).write_text(json_text(result.model_dump(mode="json")))
    write_reports(tmp_path)
    assert ServiceResult.read(tmp_path / RESULT_FILE) == result
    assert (tmp_path / "service.md").read_text() == render_markdown(result)
    assert cv2.imread(str(tmp_path / "service.png")).shape[1] > 800


def test_another_file_is_refused(tmp_path):
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"other\.json"):
        ServiceResult.read(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("made", "options", "code"),
    [
        (rounds(**MISSED), (), 0),
        (rounds(**MISSED), ("--fail-on-miss",), 1),
        (rounds(), ("--fail-on-miss",), 0),
        (rounds(late=SPOILED), (), 1),
    ],
    ids=["missed", "missed and asked", "met and asked", "invalid"],
)
def test_a_missed_bar_fails_only_on_request_and_an_invalid_one_always(
    made, options, code, monkeypatch, tmp_path
):
    monkeypatch.setattr(command, "measure_service", lambda config, folder: service_result(made))
    assert run(app, ["serve", str(tmp_path / "package"), *options], "afdcd bench") == code


def test_a_recipe_means_its_package_and_its_section(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"output: {tmp_path / 'out'}\nbench: {{seconds: 2, service: {{rounds: 3}}}}")
    config, folder = read_service_config(recipe, ["bench.service.seconds=1"])
    assert (config.package, config.rounds, config.seconds) == (tmp_path / "out" / "package", 3, 1)
    assert folder == tmp_path / "out" / "service"
    (tmp_path / "out" / "package").mkdir(parents=True)
    values = {"output": str(tmp_path / "out"), "bench": {"seconds": 2, "service": {"rounds": 3}}}
    assert from_recipe(values, "recipe").seconds == 2


def test_a_misspelt_setting_is_named(tmp_path, capsys):
    assert run(app, ["serve", str(tmp_path), "round=3"], "afdcd bench") == 2
    assert "Did you mean 'rounds'" in capsys.readouterr().err
