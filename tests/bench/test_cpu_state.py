"""What is read of the CPU, from a tree of files that the test writes."""

import pytest

from bench.cpu_state import CpuProbe


@pytest.fixture
def cpus(tmp_path):
    """Writes a file that every one of two cores has."""

    def write(name, *values):
        for core, value in enumerate(values):
            file = tmp_path / f"cpu{core}" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{value}\n")
        return CpuProbe(tmp_path, cpuinfo=tmp_path / "cpuinfo")

    return write


def test_the_clock_is_that_of_the_fastest_core(cpus):
    assert cpus("cpufreq/scaling_cur_freq", 800_000, 3_412_000).clock_mhz() == 3412.0


def test_without_clock_files_the_kernel_summary_tells(cpus, tmp_path):
    (tmp_path / "cpuinfo").write_text("processor : 0\ncpu MHz\t\t: 2596.130\ncpu MHz\t\t: 2400.5\n")
    assert cpus("online", 1).clock_mhz() == 2596.13


def test_throttle_events_are_those_of_all_cores(cpus):
    assert cpus("thermal_throttle/core_throttle_count", 2, 5).throttle_events() == 7


def test_a_system_that_does_not_say_gives_null(cpus):
    probe = cpus("online", 1, 1)
    assert probe.clock_mhz() is None
    assert probe.throttle_events() is None
    assert probe.policy().model_dump() == {"governor": None, "is_turbo_on": None}


@pytest.mark.parametrize(
    ("file", "text", "is_on"),
    [
        ("intel_pstate/no_turbo", "1", False),
        ("intel_pstate/no_turbo", "0", True),
        ("cpufreq/boost", "1", True),
        ("cpufreq/boost", "0", False),
    ],
)
def test_governor_and_turbo_are_the_policy(cpus, tmp_path, file, text, is_on):
    probe = cpus("cpufreq/scaling_governor", "powersave", "performance")
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert probe.policy().governor == "performance, powersave"
    assert probe.policy().is_turbo_on is is_on
