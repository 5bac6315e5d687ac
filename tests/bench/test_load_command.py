"""`afdcd bench load` from the command line: what it takes, what it leaves, how it fails."""

import io
import json
import os
import sys
from contextlib import redirect_stdout

import pytest
import yaml

from bench.__main__ import app
from bench.commands.load import read_load_subjects
from bench.config import LOAD_SECTION, from_recipe
from bench.load.config import DEFAULT_CLIENTS, DEFAULT_RATES, LoadConfig
from bench.load.result import LoadResult
from bench.selftest.fake_lanes import LoadBehaviour
from bench.selftest.fake_process import fake_process
from modelpack.command import run

QUICK = ["seconds=0.3", "warm_up_seconds=0", "clients=[1]"]
FILES = {"settings.json", "load.json", "load.md", "load.html", "raw"}


def load(*args):
    return run(app, ["load", *map(str, args)], "afdcd bench")


def config(*subjects, **options):
    return read_load_subjects(list(subjects), options)[0]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(exit code, folder, lines on stdout) of a run in which every other request fails."""
    folder, stdout = tmp_path_factory.mktemp("done"), io.StringIO()
    with fake_process(LoadBehaviour(service_ms=1, fail_every=2)) as fake, redirect_stdout(stdout):
        code = load(fake.url, *QUICK, "--method", "GET", "--out", folder, "--json")
    return code, folder, stdout.getvalue().splitlines()


def test_an_invalid_measurement_is_exit_code_1_and_keeps_its_report(done):
    code, folder, _ = done
    assert code == 1
    assert {file.name for file in folder.iterdir()} == FILES
    result = LoadResult.read(folder / "load.json")
    assert result.verdict.state == "invalid"
    assert "INVALID: closed-1:" in (folder / "load.md").read_text()
    assert "INVALID. Do not use these figures" in (folder / "load.html").read_text()


def test_the_table_is_printed_first_and_one_line_of_json_last(done):
    _, folder, printed = done
    assert printed[0].startswith("| run ")
    summary = json.loads(printed[-1])
    assert summary["verdict"] == "invalid"
    assert summary["result"] == str(folder / "load.json")
    assert [entry["run"] for entry in summary["runs"]] == ["closed-1"]


def test_settings_are_written_fully_resolved(done):
    settings = LoadConfig.model_validate_json((done[1] / "settings.json").read_text())
    assert settings == LoadResult.read(done[1] / "load.json").settings
    assert (settings.request.method, settings.clients, settings.arrivals) == ("GET", (1,), "poisson")


def test_an_address_without_a_path_means_our_service():
    assert config("http://127.0.0.1:8000").url == "http://127.0.0.1:8000/v1/segment"
    assert config("http://127.0.0.1:8000/other").url == "http://127.0.0.1:8000/other"


def test_without_a_wish_the_capacity_and_the_latency_below_it_are_measured():
    settings = config("http://host").with_something_to_do()
    assert (settings.clients, settings.rates) == (DEFAULT_CLIENTS, DEFAULT_RATES)


@pytest.mark.parametrize(
    ("text", "percent", "milliseconds"),
    [("p99=50ms", 99, 50), ("p99.9=1s", 99.9, 1000), ("p50<=2.5ms", 50, 2.5)],
)
def test_bounds_are_read_as_they_are_said(text, percent, milliseconds):
    (bound,) = config("http://host", **{"sweep.bounds": [text]}).sweep.bounds
    assert (bound.percent, bound.milliseconds) == (percent, milliseconds)


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "recipe.yaml"
    bench = {"seconds": 2, LOAD_SECTION: {"clients": [3], "sweep": {"bounds": ["p95=20ms"]}}}
    file.write_text(yaml.safe_dump({"output": str(tmp_path / "out"), "bench": bench}))
    return file


def test_a_recipe_loads_its_package_below_its_output(recipe):
    settings, folder = read_load_subjects([str(recipe), "bench.load.seconds=4"], {})
    assert settings.package == recipe.parent / "out" / "package"
    assert folder == recipe.parent / "out" / "load"
    assert (settings.clients, settings.seconds, settings.sweep.bounds[0].percent) == ((3,), 4, 95)


def test_the_load_section_is_no_setting_of_bench_latency(recipe):
    (recipe.parent / "out" / "package").mkdir(parents=True)
    assert from_recipe(yaml.safe_load(recipe.read_text()), "recipe").seconds == 2


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "needs an address, a recipe, or --package FOLDER"),
        (["http://a", "http://b"], "one address or one recipe, got http://a and http://b"),
        (["ftp://host"], "is no address; write http://HOST:PORT/PATH"),
        (["http://host", "second=3"], "Did you mean 'seconds'"),
        (["http://host", "--bound", "p99"], "'p99' is no bound; write it as p99=50ms"),
        (["http://host", "rates=[50%]"], "a rate in % is a share of what closed loops reach"),
        (["http://host", "in_process=true"], "in_process needs a package"),
        (["http://host", "driver=loadgen"], "driver loadgen runs scenarios; name some"),
        (["http://host", "--scenario", "offfline"], "scenarios"),
        (["http://host", "--package", "folder"], "either url or package"),
        (["http://127.0.0.1:1", "request.body=nowhere.jpg"], "body nowhere.jpg: there is no such file"),
        (["http://127.0.0.1:1", "request.images=tests"], "there is no .jpg"),
        (["http://127.0.0.1:1", "--against", "ab"], "unknown load generator 'ab'. Available: hey, wrk"),
        (
            ["http://127.0.0.1:1", "clients=[1]", "--method", "GET", "--pid", "4194304"],
            "there is no such process",
        ),
        (["missing.yaml"], "recipe missing.yaml does not exist"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(args, sentence, capsys, tmp_path):
    assert load(*args, "--out", tmp_path / "out") == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert errors[-1].startswith("error: ")
    assert sentence in errors[-1]


def test_a_server_that_answers_nothing_rightly_is_told_at_once(tmp_path, capsys):
    with fake_process(LoadBehaviour(service_ms=1, fail_every=1)) as fake:
        assert load(fake.url, *QUICK, "--method", "GET", "--out", tmp_path / "out") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "no query of the first loop was answered as expected" in error
    assert "wrong status (status 503)" in error


def test_a_package_that_cannot_be_served_is_exit_code_1(tmp_path, capsys):
    assert load("--package", tmp_path, "--out", tmp_path / "out") == 1
    assert "manifest.json" in capsys.readouterr().err


def fake_tool(folder, name, prints):
    """A program of that name that comes first on the path."""
    file = folder / name
    file.write_text(f"#!{sys.executable}\nprint({prints!r})\n")
    file.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


WRK = 'Running 1s\n\nFIGURES {"requests": 900, "us": 1000000, "p50": 1000000.0, "p99": 2e6, "errors": 0}'
HEY = (
    "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n"
    + "".join(f"1.0,0,0,0,0,0,{200 if number else 503},{number}\n" for number in range(10))
)


@pytest.mark.parametrize(("tool", "prints"), [("wrk", WRK), ("hey", HEY)], ids=["wrk", "hey"])
def test_a_tool_that_says_otherwise_is_a_disagreement(tool, prints, tmp_path, monkeypatch, capsys):
    """Both fakes say a median of a second."""
    monkeypatch.setenv("PATH", fake_tool(tmp_path, tool, prints))
    with fake_process(LoadBehaviour(service_ms=1)) as fake:
        code = load(fake.url, "--against", tool, "against.rounds=10", "seconds=0.1", "clients=[1]",
                    "--method", "GET", "--out", tmp_path / "out", "--json")  # fmt: skip
    captured = capsys.readouterr()
    assert code == 1
    assert "median_ms differ by more than 5%" in captured.err
    assert json.loads(captured.out.splitlines()[-1])["ratios"]["median_ms"] < 0.5
    agreement = json.loads((tmp_path / "out" / "agreement.json").read_text())
    assert [visit["median_ms"] for visit in agreement["theirs"]] == [1000.0] * 10
    assert len(agreement["ours"]) == 10
    assert agreement["theirs"][0]["errors"] == (1 if tool == "hey" else 0)


def test_a_tool_that_is_missing_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert load("http://127.0.0.1:1", "--against", "wrk", "--method", "GET", "--out", tmp_path / "out") == 1
    assert "wrk is not installed; on Debian and Ubuntu: apt-get install wrk" in capsys.readouterr().err
