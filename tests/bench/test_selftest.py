"""The self-test finds a tool that is right, and a clock, a runtime or a report that is not."""

import functools
import json
import sys
import time

import numpy as np
import pytest

from bench.__main__ import app
from bench.messages import WarmUp
from bench.selftest import selftest as selftests
from bench.selftest.check import Check
from bench.selftest.known_delay import Behaviour, KnownDelay
from bench.selftest.latency_checks import (
    BEHAVIOURS,
    COLD,
    COPY,
    DRIFT,
    JITTER,
    LARGE,
    LATENCY_CHECKS,
    MS,
    SLOW,
    SLOWER,
    STEADY,
)
from bench.selftest.report import render_markdown, render_terminal
from bench.selftest.truth import Planted, with_truth
from bench.statistics import median_ratio
from bench.timing import time_runs
from modelpack.command import run
from tests.bench.planted import WARM, noise, result_of

SLIGHT = 0.002
"""Spread of the planted samples, relative: that of a quiet machine."""
JITTERED = (3.0, 3.0, 12.0, 3.0, 3.0)


class Hurried(KnownDelay):
    """A runtime that answers before its work is done, as a device would that nobody waits for."""

    def _next_delay_ms(self):
        return 0.0


class SlowClock(KnownDelay):
    """Makes the worker's clock run at half speed."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        worker = sys.modules["__main__"]
        worker.time_runs = functools.partial(time_runs, clock=lambda: time.perf_counter_ns() // 2)


def planted(**changes):
    """What a right tool says of the behaviours; `changes` are the samples that it says instead."""
    steady = functools.partial(noise, rounds=12, runs=20, spread=SLIGHT)
    says = {
        STEADY: steady(MS, seed=1),
        COPY: steady(MS, seed=2),
        SLOW: steady(MS * SLOWER, seed=3),
        JITTER: tuple(JITTERED * 4 for _ in range(12)),
        COLD: steady(MS, seed=4),
        DRIFT: steady(MS, seed=5, drift=0.2),
        LARGE: steady(MS, seed=6),
    }
    truth_ms = {name: np.concatenate([np.asarray(r) for r in rounds]) for name, rounds in says.items()}
    result = result_of({**says, **changes})
    cold = WarmUp(runs=20, seconds=1.0, is_stationary=True, window_medians_ms=(30.0, 5.1, 5.0, 5.0))
    cases = [
        case.model_copy(
            update={
                "warm_up": cold if case.session.endswith(COLD) else WARM,
                "peak_memory_bytes": case.peak_memory_bytes + (128 << 20) * case.session.endswith(LARGE),
            }
        )
        for case in result.cases
    ]
    comparisons = [
        {
            "baseline": cases[0].session,
            "session": case.session,
            "boundary": "graph",
            "batch": 1,
            "speedup": median_ratio(cases[0].rounds_ms, case.rounds_ms, seed=0),
        }
        for case in cases[1:3]
    ]
    values = {**dict(result), "cases": cases, "comparisons": comparisons}
    return Planted(type(result).model_validate(values), truth_ms)


def failures(of):
    return {judge.__name__ for judge in LATENCY_CHECKS if not judge(of).ok}


def test_a_right_tool_passes_every_check():
    assert failures(planted()) == set()


def quiet(median_ms, runs=20):
    return noise(median_ms, rounds=12, runs=runs, spread=SLIGHT)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({STEADY: quiet(MS * 1.06)}, {"median"}),
        ({JITTER: quiet(3.0)}, {"slow_mode", "jitter_is_noisy"}),
        ({DRIFT: quiet(MS)}, {"drift_is_noisy"}),
        ({COLD: tuple((5.0, 5.0, 5.0, 9.0) * 5 for _ in range(12))}, {"cold_start"}),
        ({STEADY: quiet(MS, runs=50)}, {"too_few"}),
        ({COPY: quiet(MS * 1.05)}, {"equal_side_by_side", "equal_in_compare"}),
        ({SLOW: quiet(MS)}, {"slower_side_by_side", "slower_in_compare"}),
    ],
    ids=["stretched", "jitter lost", "drift lost", "cold calls recorded", "plenty", "false alarm", "missed"],
)
def test_a_wrong_figure_fails_its_check(changes, found):
    assert found <= failures(planted(**changes))


def test_lost_memory_fails_its_check():
    of = planted()
    cases = tuple(case.model_copy(update={"peak_memory_bytes": 1 << 28}) for case in of.result.cases)
    assert failures(Planted(of.result.model_copy(update={"cases": cases}), of.truth_ms)) == {"peak_memory"}


def test_a_warm_up_that_did_not_see_the_cold_start_fails_its_check():
    of = planted()
    cases = tuple(case.model_copy(update={"warm_up": WARM}) for case in of.result.cases)
    assert failures(Planted(of.result.model_copy(update={"cases": cases}), of.truth_ms)) == {"cold_start"}


def test_behaviours_are_what_they_say():
    behaviour = Behaviour(first_ms=(9, 8), cycle_ms=(1, 2), growth_per_call=0)
    assert [behaviour.delay_ms(call) for call in range(5)] == [9, 8, 1, 2, 1]
    growing = Behaviour(cycle_ms=(10,), growth_per_call=0.01)
    assert growing.delay_ms(100) == pytest.approx(10 * 1.01**100)


def test_the_record_is_cut_to_the_calls_that_were_recorded(tmp_path):
    result = result_of({"steady": ((5.0, 5.0), (5.0, 5.0))}, warm_up=WARM.model_copy(update={"runs": 3}))
    settle = result.settings.settle_runs
    assert settle == 2
    calls = np.array([90, 91, 92, 80, 81, 1, 2, 80, 81, 3, 4], np.float64)
    calls.tofile(tmp_path / "steady.calls")
    assert with_truth(result, tmp_path).truth_ms["steady"].tolist() == [1, 2, 3, 4]


@pytest.fixture
def short(monkeypatch):
    """The self-test on one behaviour and few samples: enough for one check."""
    monkeypatch.setattr(selftests, "BEHAVIOURS", {STEADY: BEHAVIOURS[STEADY]})
    monkeypatch.setattr(selftests, "SAMPLES", 40)
    monkeypatch.setattr(selftests, "ROUNDS", 4)
    monkeypatch.setattr(selftests, "LATENCY_CHECKS", LATENCY_CHECKS[:1])


@pytest.mark.parametrize("name", ["Hurried", "SlowClock"])
def test_a_broken_clock_or_runtime_is_found_through_the_real_workers(short, name):
    result = selftests.selftest(runtime=f"tests.bench.test_selftest:{name}", load_checks=())
    assert [check.name for check in result.failures] == ["median of a steady call"]


def test_load_checks_come_after_and_count(short):
    wrong = Check("load", "5 ms", "50 ms", "5%", ok=False)
    result = selftests.selftest(load_checks=(lambda: wrong,))
    assert result.checks[-1] == wrong
    assert wrong in result.failures


@pytest.fixture
def told(monkeypatch):
    """The command with a self-test that found what the test says."""

    def run_with(*checks):
        def done(report):
            del report
            return selftests.SelfTestResult(
                created="2026-01-02T03:04:05+00:00",
                seconds=41.0,
                other_load=0.5,
                environment={"cpu": {"model": "Planted CPU", "cores": 2}, "code": "0.1.0+0"},
                checks=checks,
            )

        monkeypatch.setattr(selftests, "selftest", done)
        return done(None)

    return run_with


RIGHT = Check("median", "5 ms", "5.01 ms", "3%", ok=True)
WRONG = Check("jitter", "12 ms", "3 ms", "3%", ok=False)


def test_exit_code_is_0_when_all_pass_and_1_when_any_fails(told, capsys):
    told(RIGHT)
    assert run(app, ["selftest"], "afdcd bench") == 0
    told(RIGHT, WRONG)
    assert run(app, ["selftest"], "afdcd bench") == 1
    captured = capsys.readouterr()
    assert "All 1 checks passed" in captured.out
    assert "1 of 2 checks failed" in captured.err
    assert "jitter" in captured.err


def test_results_are_left_where_asked_and_end_with_json(told, tmp_path, capsys):
    told(RIGHT, WRONG)
    run(app, ["selftest", "--out", str(tmp_path), "--json"], "afdcd bench")
    written = json.loads((tmp_path / "selftest.json").read_text())
    assert written == json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [check["ok"] for check in written["checks"]] == [True, False]
    assert "Planted CPU" in (tmp_path / "selftest.md").read_text()


@pytest.mark.parametrize("render", [render_terminal, render_markdown])
def test_the_table_says_what_failed_and_how_busy_the_machine_was(told, render):
    text = render(told(RIGHT, WRONG))
    for words in ("| ok ", "| FAIL ", "5.01 ms", "12 ms", "50% of the CPUs", "1 of 2 checks failed"):
        assert words in text
