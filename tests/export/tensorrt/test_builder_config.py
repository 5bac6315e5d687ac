"""Settings reach TensorRT's builder configuration, in versions that cannot be installed here too."""

from enum import Enum, IntEnum
from pathlib import Path
from types import SimpleNamespace

import pytest

from export.tensorrt import network
from export.tensorrt.builder_config import check_settings, new_builder_config
from export.tensorrt.network import ParsedNetwork
from export.tensorrt.settings import TensorRTSettings
from export.tensorrt.timing_cache import load_timing_cache, save_timing_cache
from modelpack.tensorrt.features import LOOKED_AT
from modelpack.tensorrt.flavour import Flavour
from tests.export.tensorrt.test_names import members

IMAGE = SimpleNamespace(name="image", shape=(-1, 32, 48, 3))


class Recorder:
    """A builder configuration that notes what is set."""

    def __init__(self):
        self.flags, self.profiles, self.pools = [], [], {}
        self.set_flag = lambda flag: self.flags.append(flag.name)
        self.add_optimization_profile = lambda profile: self.profiles.append(profile) or 0
        self.set_memory_pool_limit = lambda pool, size: self.pools.update({pool.name: size})


class Profile:
    def set_shape(self, name, *shapes):
        self.name, self.shapes = name, shapes


def fake(version):
    """A flavour with the members that the table of that version has, and none of their behaviour."""
    kinds = ("BuilderFlag", "HardwareCompatibilityLevel", "MemoryPoolType", "ProfilingVerbosity")
    enums = {kind: Enum(kind, sorted(members(version, kind) - {"name", "value"})) for kind in kinds}
    flags = sorted(members(version, "NetworkDefinitionCreationFlag") - {"name", "value"})
    creation = {"NetworkDefinitionCreationFlag": IntEnum("NetworkDefinitionCreationFlag", flags, start=0)}
    classes = {
        name: type(name, (), dict.fromkeys(members(version, name)))
        for name in ("IBuilderConfig", "IProgressMonitor", "ITimingCache", "ParserError", "Runtime")
    }
    module = type("trt", (), {**enums, **creation, **classes})
    return Flavour(LOOKED_AT[version], version, module)


def configure(version, precision="fp32", **values):
    flavour, settings = fake(version), TensorRTSettings(**values)
    check_settings(settings, flavour)
    builder = SimpleNamespace(create_builder_config=Recorder, create_optimization_profile=Profile)
    parsed = ParsedNetwork(flavour, builder, SimpleNamespace(get_input=lambda _: IMAGE), None, ())
    return new_builder_config(parsed, settings, precision)


@pytest.mark.parametrize(("precision", "flags"), [("fp32", []), ("fp16", ["FP16"]), ("int8", ["INT8"])])
def test_only_tensorrt_8_is_told_the_precision_by_flags(precision, flags):
    assert configure("8.5.3.1", precision).flags == flags
    for version in ("10.13.3.9", "11.4.0.106"):
        assert configure(version, precision).flags == []


@pytest.mark.parametrize(
    ("version", "flag"),
    [("8.5.3.1", "EXPLICIT_BATCH"), *((v, "STRONGLY_TYPED") for v in LOOKED_AT if v[0] != "8")],
)
def test_networks_are_strongly_typed_wherever_they_can_be(version, flag):
    flavour = fake(version)
    bit = 1 << int(flavour.trt.NetworkDefinitionCreationFlag[flag])
    assert network.creation_flags(flavour) == bit


def test_limits_profiles_and_compatibility_are_set():
    config = configure(
        "10.13.3.9", workspace_mib=64, hardware_compatibility="ampere_plus", version_compatible=True
    )
    assert config.pools == {"WORKSPACE": 64 << 20}
    assert config.hardware_compatibility_level.name == "AMPERE_PLUS"
    assert config.flags == ["VERSION_COMPATIBLE"]
    assert config.profiling_verbosity.name == "DETAILED"
    (profile,) = config.profiles
    assert (profile.name, profile.shapes) == ("image", tuple((batch, 32, 48, 3) for batch in (1, 4, 8)))


class CacheRecorder:
    def create_timing_cache(self, known):
        self.known = known
        return "cache"

    def set_timing_cache(self, cache, ignore_mismatch):
        self.used = (cache, ignore_mismatch)

    def get_timing_cache(self):
        return SimpleNamespace(serialize=lambda: b"times")


def test_a_timing_cache_is_read_where_it_is_and_written_after_the_build(tmp_path: Path):
    config, file = CacheRecorder(), tmp_path / "times.cache"
    load_timing_cache(config, file)
    assert (config.known, config.used) == (b"", ("cache", False))
    save_timing_cache(config, file)
    load_timing_cache(config, file)
    assert config.known == b"times"
