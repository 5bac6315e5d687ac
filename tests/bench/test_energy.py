"""Energy per image, on a powercap tree that the test moves."""

import pytest

from bench.energy import EnergyCounter, EnergyMeter, rapl_counter

RANGE_UJ = 1_000_000


class Powercap:
    """Two CPU packages, a part of one, and the board: only the packages count."""

    ZONES = ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "intel-rapl:2")
    NAMES = ("package-0", "package-1", "core", "psys")

    def __init__(self, root):
        self.root = root
        for zone, name in zip(self.ZONES, self.NAMES, strict=True):
            folder = root / zone
            folder.mkdir()
            (folder / "name").write_text(f"{name}\n")
            (folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
            (folder / "energy_uj").write_text("0\n")

    def set(self, zone, microjoules):
        (self.root / zone / "energy_uj").write_text(f"{microjoules}\n")


@pytest.fixture
def powercap(tmp_path):
    return Powercap(tmp_path)


def test_joules_per_image_are_those_of_all_packages_over_the_visits(powercap):
    meter = EnergyMeter(rapl_counter(powercap.root))
    for visit in range(2):
        meter.start()
        powercap.set("intel-rapl:0", 300_000 * (visit + 1))
        powercap.set("intel-rapl:1", 100_000 * (visit + 1))
        powercap.set("intel-rapl:0:0", 900_000)
        powercap.set("intel-rapl:2", 900_000)
        meter.stop(images=10)
    assert meter.energy().joules_per_image == pytest.approx(0.8 / 20)


def test_what_is_spent_between_the_visits_does_not_count(powercap):
    meter = EnergyMeter(rapl_counter(powercap.root))
    meter.start()
    powercap.set("intel-rapl:0", 200_000)
    meter.stop(images=1)
    powercap.set("intel-rapl:0", 900_000)
    meter.start()
    meter.stop(images=1)
    assert meter.energy().joules_per_image == pytest.approx(0.1)


def test_a_counter_that_starts_again_at_zero_goes_on(powercap):
    powercap.set("intel-rapl:0", 900_000)
    counter = rapl_counter(powercap.root)
    before = counter.read_joules()
    powercap.set("intel-rapl:0", 100_000)
    assert counter.read_joules() - before == pytest.approx(0.2, abs=2e-6)


def test_a_machine_without_counters_gives_null_and_says_so(tmp_path):
    energy = EnergyMeter(rapl_counter(tmp_path)).energy()
    assert energy.joules_per_image is None
    assert "no CPU package counts its energy" in energy.note


def test_a_counter_that_may_not_be_read_gives_null_and_the_reason(powercap):
    (powercap.root / "intel-rapl:0" / "energy_uj").unlink()
    energy = EnergyMeter(rapl_counter(powercap.root)).energy()
    assert energy.joules_per_image is None
    assert energy.note.endswith("energy_uj cannot be read: No such file or directory")


def test_a_meter_whose_counter_is_missing_measures_nothing():
    meter = EnergyMeter(EnergyCounter("board", None, "not here"))
    meter.start()
    meter.stop(images=5)
    assert (meter.energy().joules_per_image, meter.energy().note) == (None, "not here")
