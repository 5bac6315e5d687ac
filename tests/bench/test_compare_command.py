"""`afdcd bench compare` from the command line: its exit code is for CI."""

import json

import pytest

from bench.__main__ import app
from bench.load.comparable import comparable_load
from bench.load.result import LoadResult
from modelpack.atomic import write_text
from modelpack.command import run
from modelpack.errors import SettingsError
from tests.bench.planted import noise, result_of
from tests.bench.planted_load import write_load_result


def compare(*args):
    return run(app, ["compare", *map(str, args)], "afdcd bench")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """latency.json of a case, of an equal one, and of one that is 20% slower."""
    folder = tmp_path_factory.mktemp("results")
    medians = {"a": (10, 1), "equal": (10, 2), "slower": (12, 3)}
    for name, (median_ms, seed) in medians.items():
        result = result_of({"onnx": noise(median_ms, seed=seed)})
        write_text(folder / f"{name}.json", result.to_json())
    return {name: folder / f"{name}.json" for name in medians}


@pytest.mark.parametrize(
    ("b", "limit", "code"),
    [("slower", "5%", 1), ("slower", "30%", 0), ("slower", None, 0), ("equal", "5%", 0)],
)
def test_exit_code_is_1_only_when_slower_than_the_limit(files, b, limit, code):
    options = ["--fail-if-slower", limit] if limit else []
    assert compare(files["a"], files[b], *options) == code


def test_json_and_markdown_are_left_where_asked(files, tmp_path, capsys):
    assert compare(files["a"], files["slower"], "--out", tmp_path, "--json") == 0
    written = json.loads((tmp_path / "compare.json").read_text())
    assert written == json.loads(capsys.readouterr().out.splitlines()[-1])
    assert written["pairs"][0]["finding"] == "slower"
    assert f"# {files['slower']} against {files['a']}" in (tmp_path / "compare.md").read_text()


def test_the_failing_case_is_named_on_stderr(files, capsys):
    compare(files["a"], files["slower"], "--fail-if-slower", "5%")
    captured = capsys.readouterr()
    assert "slower, beyond the limit" in captured.out
    assert captured.err.startswith("error: ")
    assert "slower by more than 5% with the whole interval: package onnx, graph, batch 1" in captured.err


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["{a}", "{a}", "--fail-if-slower", "0.05"], "'0.05' is no percentage; write it as 5%"),
        (["{a}", "missing.json"], "result missing.json cannot be read"),
        (["{a}", "{other}"], "is no result of `bench latency` or `bench load`"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(files, tmp_path, capsys, args, sentence):
    (tmp_path / "other.json").write_text("{}")
    places = {"a": files["a"], "other": tmp_path / "other.json"}
    assert compare(*(arg.format(**places) for arg in args)) == 2
    assert sentence in capsys.readouterr().err


def test_load_results_are_compared_loop_by_loop(tmp_path, capsys):
    a, b = (write_load_result(tmp_path / str(ms), ms, seed=ms) for ms in (20, 24))
    assert compare(a, b, "--fail-if-slower", "10%") == 1
    printed = capsys.readouterr().out
    assert "closed loop, 4 clients" in printed
    assert "open loop, 100 requests/s" in printed


def test_a_load_result_and_a_latency_result_are_refused(files, tmp_path, capsys):
    load = write_load_result(tmp_path, 20, seed=1)
    assert compare(files["a"], load) == 2
    assert "Compare results of one kind." in capsys.readouterr().err


def test_load_results_need_their_raw_samples_and_enough_of_them(tmp_path):
    file = write_load_result(tmp_path, 20, seed=1, count=40)
    result = LoadResult.read(file)
    with pytest.raises(SettingsError, match="holds 40 latencies, 50 are the least"):
        comparable_load(result, tmp_path)
    (tmp_path / "raw" / f"{result.runs[0].name}.npz").unlink()
    with pytest.raises(SettingsError, match="are missing"):
        comparable_load(result, tmp_path)
