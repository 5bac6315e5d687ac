"""The proof on a GPU records every step, goes on after failures and interruptions, and keeps its deadline."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from afdcd.gpu import STEPS, __main__
from afdcd.gpu.record import StepRecord
from afdcd.gpu.runner import Runner
from afdcd.gpu.step import Context, Step
from afdcd.gpu.summary import write_summary
from modelpack.command import run
from modelpack.tables import resolve

LONG_S = 60.0


@dataclass
class Stop:
    requested: bool = False


def step(function: str, least_s: float = 0.0, limit_s: float = LONG_S) -> Step:
    return Step(f"tests.afdcd.gpu_steps:{function}", least_s, limit_s)


def proof(
    tmp_path: Path, seconds: float = LONG_S, stop: Stop | None = None, **steps: Step
) -> dict[str, StepRecord]:
    context = Context(out=tmp_path / "out", work=tmp_path / "work", device="cpu", seconds=seconds)
    return Runner(steps, context, stop or Stop()).run()


def calls(tmp_path: Path) -> int:
    return len((tmp_path / "work" / "calls").read_text())


@pytest.mark.parametrize("name", STEPS)
def test_every_step_of_the_table_is_there(name):
    assert callable(resolve(STEPS[name].target))
    assert 0 < STEPS[name].least_s <= STEPS[name].limit_s


def test_a_finished_step_is_not_repeated_and_the_others_are(tmp_path):
    first = proof(tmp_path, good=step("good"), bad=step("bad"))
    assert {name: record.status for name, record in first.items()} == {"good": "finished", "bad": "failed"}
    second = proof(tmp_path, good=step("good"), bad=step("good"))
    assert second["bad"].status == "finished"
    assert second["good"] == first["good"]
    assert calls(tmp_path) == 2


def test_a_step_finished_on_another_gpu_is_repeated(tmp_path):
    proof(tmp_path, good=step("good"))
    path = tmp_path / "out" / "good.json"
    record = json.loads(path.read_text())
    record["environment"]["gpu"] = [{"name": "another", "memory": "1 MiB", "driver": "1"}]
    path.write_text(json.dumps(record))
    proof(tmp_path, good=step("good"))
    assert calls(tmp_path) == 2


def test_failing_breaking_and_dying_steps_are_recorded_and_the_later_ones_run(tmp_path):
    records = proof(
        tmp_path,
        bad=step("bad"),
        broken=step("broken"),
        dying=step("dying"),
        idle=step("idle"),
        good=step("good"),
    )
    assert (records["bad"].status, records["bad"].reason) == ("failed", "the gate is shut")
    assert records["bad"].result == {"before": "kept"}
    assert records["broken"].status == "failed"
    assert records["broken"].reason.startswith("RuntimeError: CUDA error")
    assert records["dying"].status == "failed"
    assert "-9" in records["dying"].reason
    assert (records["idle"].status, records["idle"].reason) == ("skipped", "nothing to work on")
    assert records["good"].status == "finished"
    for name, record in records.items():
        assert StepRecord.read(tmp_path / "out" / f"{name}.json") == record
        assert record.environment["packages"]["torch"]


def test_a_step_over_its_own_limit_fails_and_keeps_what_it_noted(tmp_path):
    records = proof(tmp_path, endless=step("endless", limit_s=6.0), good=step("good"))
    assert records["endless"].status == "failed"
    assert records["endless"].reason == "it took longer than its limit of 6 s"
    assert records["endless"].result == {"begun": True}
    assert records["good"].status == "finished"


def test_the_deadline_interrupts_a_step_and_leaves_the_later_ones_their_time(tmp_path):
    begun = time.monotonic()
    records = proof(tmp_path, 20.0, endless=step("endless", least_s=1.0), good=step("good", least_s=14.0))
    assert records["endless"].status == "interrupted"
    assert "deadline" in records["endless"].reason
    assert records["endless"].limit_s == pytest.approx(6.0, abs=0.5)
    assert records["good"].status in ("finished", "skipped")  # skipped where stopping took a while
    assert time.monotonic() - begun < 2 * 20.0


def test_a_step_that_no_longer_fits_is_skipped_with_the_reason_but_not_forgotten(tmp_path):
    records = proof(tmp_path, 1.0, good=step("good", least_s=5.0))
    assert records["good"].status == "skipped"
    assert "deadline, it needs 5 s" in records["good"].reason
    proof(tmp_path, bad=step("bad"))
    records = proof(tmp_path, 1.0, bad=step("bad", least_s=5.0))
    assert records["bad"].result == {"before": "kept"}


def test_a_stop_before_the_first_step_runs_nothing(tmp_path):
    assert proof(tmp_path, stop=Stop(requested=True), good=step("good")) == {}


def test_sigterm_stops_the_running_step_and_its_processes(tmp_path):
    program = (
        "import sys; import afdcd.gpu.__main__ as door; from afdcd.gpu.step import Step;"
        "door.STEPS = {'endless': Step('tests.afdcd.gpu_steps:endless', 1, 60)};"
        "door.missing_device = lambda: None;"
        f"sys.argv = ['gpu', '--out', {str(tmp_path / 'out')!r}, '--work', {str(tmp_path / 'work')!r}];"
        "door.main()"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True)
    path = tmp_path / "out" / "endless.json"
    patience = time.monotonic() + LONG_S
    while not (path.is_file() and (record := StepRecord.read(path)) and record.result):
        assert time.monotonic() < patience
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=LONG_S)
    assert process.returncode == 1
    assert "interrupted" in said
    record = StepRecord.read(path)
    assert record is not None
    assert (record.status, record.result) == ("interrupted", {"begun": True})
    assert "the same command goes on" in (tmp_path / "out" / "summary.md").read_text()


def test_the_summary_shows_tables_and_reasons(tmp_path):
    proof(tmp_path, good=step("good"), bad=step("bad"))
    write_summary(tmp_path / "out", ("good", "bad", "never"))
    page = (tmp_path / "out" / "summary.md").read_text()
    assert "| bad | failed |" in page
    assert "the gate is shut" in page
    assert "| a | 1.5 |\n| b | – |" in page
    steps = json.loads((tmp_path / "out" / "summary.json").read_text())["steps"]
    assert {name: entry["status"] for name, entry in steps.items()} == {"good": "finished", "bad": "failed"}


class TestWithoutGpu:
    @pytest.fixture(autouse=True)
    def no_gpu(self, monkeypatch, tmp_path):
        monkeypatch.setattr(__main__, "missing_device", lambda: "there is no NVIDIA driver")
        monkeypatch.chdir(tmp_path)

    def test_it_says_so_exits_0_and_writes_nothing(self, tmp_path, capsys):
        assert run(__main__.app, [], "gpu") == 0
        assert capsys.readouterr().out == (
            "No GPU to prove anything on: there is no NVIDIA driver. Every step is skipped.\n"
        )
        assert os.listdir(tmp_path) == []

    def test_a_named_folder_gets_every_step_as_skipped(self, tmp_path):
        assert run(__main__.app, ["--out", "here"], "gpu") == 0
        steps = json.loads((tmp_path / "here" / "summary.json").read_text())["steps"]
        assert list(steps) == list(STEPS)
        assert {(entry["status"], entry["reason"]) for entry in steps.values()} == {
            ("skipped", "no GPU: there is no NVIDIA driver")
        }

    def test_results_of_a_gpu_are_not_overwritten(self, tmp_path):
        record = StepRecord.begin("device", "finished")
        record.write(tmp_path / "here" / "device.json")
        run(__main__.app, ["--out", "here"], "gpu")
        assert StepRecord.read(tmp_path / "here" / "device.json") == record


def test_an_unknown_step_is_wrong_use(capsys):
    assert run(__main__.app, ["--only", "devise"], "gpu") == 2
    assert "Did you mean 'device'?" in capsys.readouterr().err
