"""What a measurement says of stages, clocks, throttling and energy, and of what could not be measured."""

import pytest

from bench.cpu_state import CpuProbe
from bench.energy import RAPL, rapl_counter
from bench.gpu_state import GPU_BOARD, GpuProbe
from bench.machine_watch import MachineWatch
from bench.measure import measure
from bench.report_conditions import stage_median
from bench.report_html import render_html
from bench.report_markdown import render_markdown, render_terminal
from bench.worker_process import WorkerError
from modelpack.errors import RuntimeUnavailableError
from tests.bench.fake_nvml import FakeNvml

ROUNDS, SAMPLES, SETTLE, STAGED = 4, 8, 2, 3
JOULES_PER_VISIT = 22.0


class Consuming(FakeNvml):
    """A board that has used so many joules more whenever it is asked."""

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        self.joules += JOULES_PER_VISIT
        return super().nvmlDeviceGetTotalEnergyConsumption(handle)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A machine with a throttled GPU, a CPU of 3 GHz, and no RAPL."""
    root = tmp_path_factory.mktemp("machine")
    clock = root / "cpu0" / "cpufreq" / "scaling_cur_freq"
    clock.parent.mkdir(parents=True)
    clock.write_text("3000000")
    gpu = GpuProbe.open(Consuming(reasons=0x4))
    return MachineWatch(CpuProbe(root), rapl_counter(root), gpu)


@pytest.fixture(scope="module")
def on_gpu(quick, packages, machine):
    config = quick(
        "on-gpu",
        packages={"fast": packages["fast"]},
        samples=SAMPLES,
        rounds=ROUNDS,
        settle_runs=SETTLE,
        stage_runs=STAGED,
        batch_sizes=[2],
        boundaries=["graph"],
    )
    return measure(config, watch=machine)


def test_stages_are_medians_of_calls_that_are_not_recorded(on_gpu):
    (case,) = on_gpu.cases
    assert case.samples == SAMPLES
    assert len(case.stages) == ROUNDS * STAGED
    assert (stage_median(case, "compute_ms"), stage_median(case, "h2d_ms")) == (7.0, 0.5)
    assert stage_median(case, "enqueue_ms") is None


def test_a_runtime_that_does_not_tell_has_no_stages(result):
    assert all(case.stages == () for case in result.cases)


def test_the_machine_is_read_after_every_visit(on_gpu):
    (case,) = on_gpu.cases
    assert len(case.machine) == ROUNDS
    assert {reading.cpu_clock_mhz for reading in case.machine} == {3000.0}
    assert {reading.gpu.temperature_c for reading in case.machine} == {61}


def test_a_throttled_gpu_makes_the_case_noisy(on_gpu):
    assert "the GPU was throttled by power cap after 4 of 4 visits" in on_gpu.cases[0].verdict.reasons


def test_energy_is_shared_by_all_images_of_the_visits(on_gpu):
    images = 2 * (SAMPLES + ROUNDS * (SETTLE + STAGED))
    energy = {entry.source: entry for entry in on_gpu.cases[0].energy}
    assert energy[GPU_BOARD].joules_per_image == pytest.approx(ROUNDS * JOULES_PER_VISIT / images)
    assert energy[RAPL].joules_per_image is None
    assert "no CPU package counts its energy" in energy[RAPL].note


def test_a_session_on_the_cpu_is_not_charged_for_the_gpu(quick, packages, machine):
    config = quick(packages={"fast": packages["fast"]}, samples=4, batch_sizes=[1], boundaries=["graph"])
    (case,) = measure(config, watch=machine).cases
    assert [entry.source for entry in case.energy] == [RAPL]
    assert {reading.gpu for reading in case.machine} == {None}


def test_stages_clocks_and_energy_are_in_the_reports(on_gpu):
    joules = next(entry.joules_per_image for entry in on_gpu.cases[0].energy if entry.source == GPU_BOARD)
    for text in (render_markdown(on_gpu), render_html(on_gpu)):
        for words in ("H2D", "D2H", "7.00", "1980", "2619", "61", f"{joules:.2f}", "no CPU package counts"):
            assert words in text
        assert "enqueue" not in text


@pytest.mark.parametrize(
    ("runtime", "reason"),
    [
        ("unavailable", "the accelerator is not in this machine"),
        ("plans-only", "runtime plans-only opens tensorrt artifacts, and this is onnx"),
    ],
)
def test_a_session_that_cannot_run_here_is_skipped_and_said_to_be(quick, packages, runtime, reason):
    config = quick(
        packages={"fast": packages["fast"]},
        runtimes=[runtime, "paced"],
        samples=4,
        batch_sizes=[1],
        boundaries=["graph"],
    )
    measured = measure(config)
    assert [session.name for session in measured.sessions] == ["fast paced"]
    assert measured.skipped == (f"fast {runtime}, loading onnx-fp32: {reason}",)
    for text in (render_terminal(measured), render_markdown(measured), render_html(measured)):
        assert measured.skipped[0] in " ".join(text.split())


def test_where_nothing_can_run_the_reasons_are_the_error(quick, packages):
    config = quick("unavailable", packages={"fast": packages["fast"]})
    with pytest.raises(RuntimeUnavailableError, match="the accelerator is not in this machine"):
        measure(config)


def test_a_runtime_that_is_there_and_breaks_is_no_skip(quick, packages):
    with pytest.raises(WorkerError, match="cannot load with 0 threads"):
        measure(quick(packages={"fast": packages["fast"]}, runtimes=["unloadable", "paced"]))
