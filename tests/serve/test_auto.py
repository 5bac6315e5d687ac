"""`afdcd serve start --auto`: what is tried, what is taken, and the file that is left."""

import io
import json

import pytest
import yaml

from modelpack.command import run
from modelpack.runtimes.onnxruntime import OnnxRuntime
from serve.__main__ import app, read_settings
from serve.auto import choose as choosing
from serve.auto import trial
from serve.auto.candidates import Candidate, divisions, other_runs, runtime_candidates
from serve.auto.choose import choose, most
from serve.auto.measure import Trial, TrialError
from serve.auto.messages import Order, Survey
from serve.auto.settings_file import write_settings
from serve.settings import ServeSettings

PROCESSES = Candidate("onnxruntime", 2, 1, 0)
THREADS = Candidate("onnxruntime", 1, 2, 2)


def trials(**rates):
    """Candidates by name with their images per second; None cannot serve."""
    made = {}
    for name, rate in rates.items():
        took_ms = None if rate is None else 1.0
        made[Candidate(name, 1, 1, 0)] = Trial(
            workers=1, images_per_second=rate, median_ms=took_ms, obstacle="" if rate else "no memory"
        )
    return made


def replies_to(order):
    """What a trial process would say, in this process."""
    replies = io.StringIO()
    trial.main(io.StringIO(order.model_dump_json() + "\ngo\n"), replies)
    return [json.loads(line) for line in replies.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("settings", "cores", "on_gpu", "expected"),
    [
        ({}, 4, False, [(4, 1, 0), (2, 2, 2), (1, 4, 2)]),
        ({}, 1, False, [(1, 1, 0)]),
        ({"workers": 3}, 6, False, [(3, 2, 2)]),
        ({"threads": 1, "codec_threads": 1}, 2, False, [(2, 1, 1), (1, 1, 1)]),
        ({}, 4, True, [(1, 0, 2), (1, 0, 1), (1, 0, 4)]),
    ],
)
def test_cores_are_divided_evenly_and_what_is_set_stays(settings, cores, on_gpu, expected, package):
    asked = ServeSettings(package=package, **settings)
    assert divisions(asked, cores, on_gpu) == expected


def test_the_most_images_win_and_the_earlier_one_where_they_are_alike():
    assert most(trials(first=100.0, second=102.0)).runtime == "first"
    assert most(trials(first=100.0, second=104.0)).runtime == "second"
    assert most(trials(first=None, second=1.0)).runtime == "second"


def test_where_nothing_serves_every_reason_is_told():
    with pytest.raises(TrialError, match=r"nothing can serve .* no memory; .* no memory"):
        most(trials(first=None, second=None))


def test_a_survey_names_the_artifact_of_the_rules_and_runtimes_that_can(package):
    (found,) = replies_to(Order(settings=ServeSettings(package=package, device="cpu"), seconds=None))
    assert (found["artifact"], found["runtimes"][0], found["on_gpu"]) == ("onnx-fp32", "onnxruntime", False)
    named = ServeSettings(package=package, device="cpu", runtime="onnxruntime")
    assert replies_to(Order(settings=named, seconds=None))[0]["runtimes"] == ["onnxruntime"]


@pytest.mark.parametrize("codec_threads", [0, 1])
def test_a_trial_says_when_it_is_ready_and_counts_images(codec_threads, package, monkeypatch):
    monkeypatch.setattr(trial, "WARM_UP_S", 0.0)
    settings = ServeSettings(package=package, device="cpu", threads=1, codec_threads=codec_threads)
    ready, worked = replies_to(Order(settings=settings, seconds=0.01))
    assert ready == {"is_ready": True}
    assert worked["images"] > 0
    assert worked["seconds"] >= 0.01


def test_a_trial_joins_requests_where_the_service_would(package, monkeypatch):
    monkeypatch.setattr(trial, "WARM_UP_S", 0.0)
    runs = []
    real_run = OnnxRuntime.run_gathered
    monkeypatch.setattr(
        OnnxRuntime,
        "run_gathered",
        lambda runtime, images: runs.append(len(images)) or real_run(runtime, images),
    )
    settings = ServeSettings(
        package=package, device="cpu", threads=1, codec_threads=1, batching={"enabled": True, "max_images": 4}
    )
    _, worked = replies_to(Order(settings=settings, seconds=0.01))
    assert worked["images"] > 0
    assert 1 < max(runs) <= 4


def test_on_a_gpu_runs_of_more_and_fewer_images_are_tried_with_the_leader(package):
    asked = ServeSettings(package=package)
    (first,) = runtime_candidates(asked, ["onnxruntime"], 4, on_gpu=True)
    assert first == Candidate("onnxruntime", 1, 0, 2, run_images=8)
    others = other_runs(first)
    assert [candidate.run_images for candidate in others] == [1, 4, 16, 32]
    laid = [candidate.laid_upon(asked, "onnx-fp16").batching for candidate in others]
    assert [(batching.enabled, batching.max_images) for batching in laid] == [
        (False, 1), (True, 4), (True, 16), (True, 32),
    ]  # fmt: skip
    assert str(others[1]) == "1 x its own threads + 2 for codecs, onnxruntime, runs of up to 4"


@pytest.mark.parametrize(
    ("settings", "on_gpu"),
    [({}, False), ({"batching": {"enabled": False}}, True), ({"codec_threads": 0}, True)],
)
def test_nothing_is_tried_about_runs_where_nothing_is_joined(settings, on_gpu, package):
    asked = ServeSettings(package=package, **settings)
    (first,) = runtime_candidates(asked, ["onnxruntime"], 4, on_gpu)
    assert other_runs(first) == []
    assert first.laid_upon(asked, "onnx-fp32").batching == asked.batching


def test_a_candidate_that_fails_the_replay_says_so(package):
    settings = ServeSettings(package=package, device="cpu", artifact="onnx-int8")
    assert "onnx-int8" in replies_to(Order(settings=settings, seconds=1.0))[0]["error"]


@pytest.fixture
def measured(monkeypatch):
    """Two cores, one runtime, and figures that are known."""
    rates = {PROCESSES: 300.0, THREADS: 200.0}
    survey = Survey(artifact="onnx-fp32", runtimes=("onnxruntime",), on_gpu=False, why="every CPU does")
    monkeypatch.setattr(choosing, "survey", lambda settings: survey)
    monkeypatch.setattr(choosing, "usable_cores", lambda: 2.0)
    monkeypatch.setattr(choosing.os, "getloadavg", lambda: (0.1, 0.0, 0.0))
    monkeypatch.setattr(
        choosing,
        "try_out",
        lambda candidate, settings, seconds: Trial(
            workers=candidate.workers, images_per_second=rates[candidate], median_ms=5.0
        ),
    )


def test_the_choice_is_told_with_its_reason(measured, package):
    told = []
    choice = choose(ServeSettings(package=package), told.append)
    assert told == [f"trying {PROCESSES}", f"trying {THREADS}"]
    lines = list(choice.lines())
    assert [line for line in lines if "chosen" in line] == [f"    300.0       5.0  {PROCESSES}  <- chosen"]
    assert lines[-1] == f"2 cores. {PROCESSES}: 1.50 times the images of the next, {THREADS}."


def test_a_busy_machine_is_told(measured, package, monkeypatch):
    monkeypatch.setattr(choosing.os, "getloadavg", lambda: (1.5, 0.0, 0.0))
    choice = choose(ServeSettings(package=package), lambda text: None)
    assert list(choice.lines())[-1].startswith("The machine was busy before (load 1.5)")


def test_the_file_is_read_by_serve_start_as_it_was_chosen(measured, package, tmp_path):
    asked = ServeSettings(package=package, queue_length=7)
    choice = choose(asked, lambda text: None)
    file = tmp_path / "auto.yaml"
    write_settings(file, choice.settings(asked), choice.lines())
    assert read_settings(file, (), {}) == choice.settings(asked).model_copy(
        update={"package": package.resolve()}
    )
    head = [line for line in file.read_text().splitlines() if line.startswith("#")]
    assert head[0] == f"# afdcd serve start {file}"
    assert any("chosen" in line for line in head)
    assert yaml.safe_load(file.read_text())["serve"]["workers"] == 2


def test_write_without_auto_is_wrong_use(package, tmp_path, capsys):
    assert run(app, ["start", str(package), "--write", str(tmp_path / "auto.yaml")], "afdcd serve") == 2
    assert "add --auto" in capsys.readouterr().err
