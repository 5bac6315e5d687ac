"""Markdown and HTML hold what the JSON holds, and the page needs nothing but itself."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from bench.drawing import colour, sign
from bench.latency import write_reports
from bench.report_html import render_html
from bench.report_markdown import render_markdown, render_terminal
from bench.result import BenchResult
from bench.statistics import Ratio, percentile_interval
from bench.wording import figure, speedup_sentence
from modelpack.atomic import write_json

ROUNDED = 0.006
"""Relative error of three significant digits: half a unit of the last one."""


class Page(HTMLParser):
    """Tags, references and visible text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.references, self.text = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [value for name, value in attrs if name in ("src", "href", "xlink:href", "data")]

    def handle_data(self, data):
        self.text.append(data)


def believable(result):
    """The same result with enough steady samples for every percentile."""
    cases = []
    for case in result.cases:
        rounds = tuple(tuple(case.mean_ms + 0.001 * i for i in range(250)) for _ in range(4))
        rebuilt = type(case).of_rounds(
            case.session,
            case.boundary,
            case.batch,
            list(rounds),
            peak_memory_bytes=case.peak_memory_bytes,
            warm_up=case.warm_up,
            verdict=result.verdict.model_copy(update={"state": "valid", "reasons": ()}),
        )
        cases.append(rebuilt)
    return result.model_copy(update={"cases": tuple(cases), "verdict": cases[0].verdict})


@pytest.fixture(scope="module")
def steady(result):
    return believable(result)


@pytest.fixture(scope="module")
def noisy_page(result):
    return render_html(result)


@pytest.fixture(scope="module")
def steady_page(steady):
    return render_html(steady)


def text_of(html):
    return " ".join(" ".join(Page(html).text).split())


def figures_of(result):
    """Every figure that the JSON holds beside the raw samples."""
    for case in result.cases:
        yield from (case.samples, case.mean_ms, case.deviation_ms, case.min_ms, case.max_ms)
        yield from (case.images_per_second, case.peak_memory_bytes / 2**20, case.warm_up.runs)
        yield from (case.warm_up.seconds,)
        for entry in case.percentiles:
            yield from (value for value in (entry.value, entry.lower, entry.upper) if value is not None)
    for entry in result.comparisons:
        yield from (entry.speedup.value, entry.speedup.lower, entry.speedup.upper)
    for session in result.sessions:
        yield from (session.size_bytes / 2**20, session.open_ms, *session.input_size)
        yield from (claim.value for claim in session.claims)


def numbers_in(text):
    return sorted(float(found) for found in re.findall(r"\d+(?:\.\d+)?", text))


@pytest.mark.parametrize("enough", [True, False], ids=["all percentiles", "few samples"])
@pytest.mark.parametrize("kind", ["markdown", "html"])
def test_every_number_of_the_result_is_in_the_report(request, kind, enough):
    shown = request.getfixturevalue("steady" if enough else "result")
    page = request.getfixturevalue("steady_page" if enough else "noisy_page")
    found = numbers_in(render_markdown(shown) if kind == "markdown" else text_of(page))
    for value in figures_of(shown):
        assert any(abs(number - value) <= ROUNDED * abs(value) for number in found), value


def test_hashes_verdicts_rules_and_machine_are_in_both(result, noisy_page):
    for text in (" ".join(render_markdown(result).split()), text_of(noisy_page)):
        assert all(session.sha256[:12] in text for session in result.sessions)
        assert all(rule in text for rule in result.rules.values())
        assert all(boundary in text for boundary in result.boundaries.values())
        assert result.environment["cpu"]["model"] in text
        assert result.environment["code"] in text
        assert all(reason in text for case in result.cases for reason in case.verdict.reasons)


def test_page_refers_to_nothing_outside_itself(noisy_page):
    page = Page(noisy_page)
    assert all(reference.startswith("#") for reference in page.references)
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
    assert not re.search(r"(https?:)?//[a-z]|@import|url\((?!#)", noisy_page)


def test_page_pictures_distributions_throughput_steadiness_and_accuracy(noisy_page):
    assert noisy_page.count("<svg") == 5
    assert "Accuracy against latency" in noisy_page


def test_without_claims_or_batches_their_pictures_are_left_out(result):
    bare = result.model_copy(
        update={
            "sessions": tuple(session.model_copy(update={"claims": ()}) for session in result.sessions),
            "cases": tuple(case for case in result.cases if case.batch == 1),
        }
    )
    html = render_html(bare)
    assert html.count("<svg") == 3
    assert "Accuracy against latency" not in html
    assert "Accuracy of the same files" not in render_markdown(bare)


def test_graph_alone_and_image_alone_have_a_report(result):
    for boundary in ("graph", "image"):
        cases = tuple(case for case in result.cases if case.boundary == boundary)
        alone = result.model_copy(
            update={"cases": cases, "boundaries": {boundary: result.boundaries[boundary]}}
        )
        assert f"Latency: {boundary}" in render_html(alone)


def test_accuracy_and_size_of_the_very_file_stand_in_every_line(result):
    lines = [line for line in render_terminal(result).splitlines() if line.startswith("| slow")]
    assert len(lines) == 3
    assert all("0.6543" in line for line in lines)
    lines = [line for line in render_terminal(result).splitlines() if line.startswith("| fast")]
    assert all("not measured" in line for line in lines)


def test_the_picture_of_accuracy_names_its_points_and_those_that_none_beats(noisy_page):
    picture = noisy_page[noisy_page.index("Accuracy against latency") :]
    assert "Beaten by none: slow." in picture
    assert ">slow</text>" in picture[: picture.index("</svg>")]


def test_no_two_sessions_look_alike(result):
    many = result.model_copy(
        update={
            "sessions": tuple(
                result.sessions[0].model_copy(update={"name": f"session {i}"}) for i in range(36)
            )
        }
    )
    looks = {(colour(many, entry.name), sign(many, entry.name)) for entry in many.sessions}
    assert len(looks) == 36


def test_too_few_samples_are_words_in_place_of_a_number(result, steady):
    text = render_markdown(result)
    assert "n too small for p99" in text
    assert "n too small for p99" not in render_markdown(steady)


def test_verdict_stands_at_the_top(result, steady, noisy_page, steady_page):
    assert "Verdict: noisy: " in render_terminal(result)
    assert "Verdict: **noisy**: " in render_markdown(result)
    assert "Verdict: valid." in render_terminal(steady)
    assert 'class="verdict noisy"' in noisy_page
    assert 'class="verdict valid"' in steady_page


def test_names_are_escaped_in_the_page(result):
    text = result.model_dump_json().replace('"slow"', '"<b>slow</b>"')
    html = render_html(BenchResult.model_validate_json(text))
    assert "<b>" not in html


def test_reports_are_rendered_from_the_json_on_disk(result, tmp_path):
    values = result.model_dump(mode="json")
    values["created"] = "2001-02-03T04:05:06+00:00"
    write_json(tmp_path / "latency.json", values)
    write_reports(tmp_path)
    assert "2001-02-03" in (tmp_path / "latency.md").read_text()
    assert "2001-02-03" in (tmp_path / "latency.html").read_text()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.001234, "0.00123"),
        (0.5, "0.500"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1234.5, "1234"),
    ],
)
def test_figures_have_three_significant_digits(value, text):
    assert figure(value) == text


def test_comparison_is_told_as_faster_slower_or_no_difference():
    ends = {"fast": (2, 1.9, 2.1), "slow": (0.5, 0.4, 0.6), "same": (1, 0.9, 1.1)}
    told = {
        name: speedup_sentence("b", "a", Ratio(value=value, lower=lower, upper=upper))
        for name, (value, lower, upper) in ends.items()
    }
    assert told["fast"] == "b is 2.00 times as fast as a (95% interval [1.900, 2.100])"
    assert told["slow"] == "b is 0.500 times as fast as a, so slower (95% interval [0.4000, 0.6000])"
    assert told["same"] == "no difference between b and a (95% interval [0.9000, 1.100])"


def test_a_case_is_summarised_from_its_raw_samples(steady):
    case = steady.cases[0]
    assert case.percentile(99) == percentile_interval(
        np.concatenate([np.asarray(r) for r in case.rounds_ms]), 99
    )
