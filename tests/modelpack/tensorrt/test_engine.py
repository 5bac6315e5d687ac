"""Which TensorRT opens a plan, and what it says of one that it cannot run."""

import logging
from pathlib import Path

import pytest

from modelpack.errors import PackageError, RuntimeUnavailableError
from modelpack.runtimes import cuda_libraries
from modelpack.runtimes import tensorrt as tensorrt_runtime
from modelpack.runtimes.tensorrt import TensorRTRuntime
from modelpack.tensorrt import engine, runtime_cache
from modelpack.tensorrt.engine import open_engine
from modelpack.tensorrt.plan_name import PlanName
from tests.modelpack.tensorrt.fake_device import FakeDevice
from tests.modelpack.tensorrt.fake_tensorrt import fake_flavour, plan_bytes

HAS_CUDA = cuda_libraries.missing_device() is None
PROFILE = ((1, 4, 8), (24, 24, 24), (32, 32, 32))
ANYWHERE = "fp16-rtx-1.7.1.116-portable.plan"


@pytest.fixture
def cache():
    """Where compiled kernels are kept."""
    return runtime_cache.cache_folder()


@pytest.fixture
def installed(monkeypatch):
    """Make a fake TensorRT the installed one; gives it."""

    def install(*arguments):
        found = fake_flavour(FakeDevice(), *arguments)

        def find(wanted="auto"):
            if wanted not in ("auto", found.name):
                raise RuntimeUnavailableError(f"{wanted} cannot be imported")
            return found

        monkeypatch.setattr(engine, "find_flavour", find)
        return found

    return install


@pytest.fixture
def plan(tmp_path):
    """A fake plan of that name."""

    def write(name=ANYWHERE, content=None):
        (tmp_path / name).write_bytes(plan_bytes(PROFILE) if content is None else content)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    "name",
    [
        PlanName("fp16", "rtx", "1.7.1.116", "portable"),
        PlanName("int8", "rtx", "1.7.1.116", "sm86_sm120"),
        PlanName("fp32", "tensorrt", "10.13.3.9", "ampere_plus", is_version_compatible=True),
        PlanName("fp16", "tensorrt", "8.5.3.1", "sm87"),
    ],
    ids=str,
)
def test_names_of_plans_are_read_back(name):
    assert PlanName.of(Path("engines", str(name))) == name


@pytest.mark.parametrize("name", ["model.plan", "fp16-rtx-portable.plan", "fp16-rtx-1.7-portable.onnx"])
def test_other_names_tell_nothing(name):
    assert PlanName.of(Path(name)) is None


def test_a_plan_of_another_version_is_refused_before_it_is_loaded(installed, plan):
    installed("rtx", "1.8.0.1")
    with pytest.raises(RuntimeUnavailableError) as refusal:
        open_engine(plan(content=b"never read"))
    assert str(refusal.value) == (
        f"{ANYWHERE} was built by version 1.7.1.116 and runs with no other; "
        "installed is TensorRT-RTX 1.8.0.1. Build the package again with this TensorRT on this machine, "
        "or run one of its ONNX artifacts."
    )


@pytest.mark.parametrize(("version", "is_taken"), [("10.16.1.11", True), ("10.9.0.34", False)])
def test_a_version_compatible_plan_loads_with_later_versions_only(installed, plan, version, is_taken):
    found = installed("tensorrt", version)
    content = plan_bytes(PROFILE, brings_runtime=True)
    path = plan("fp16-tensorrt-10.13.3.9-sm86-version_compatible.plan", content)
    if is_taken:
        assert open_engine(path).flavour is found
    else:
        with pytest.raises(RuntimeUnavailableError, match=r"built by version 10\.13\.3\.9"):
            open_engine(path)


def test_a_plan_of_the_other_flavour_is_refused(installed, plan):
    installed("rtx")
    with pytest.raises(RuntimeUnavailableError, match="tensorrt cannot be imported"):
        open_engine(plan("fp16-tensorrt-10.13.3.9-sm86.plan"))


def test_a_plan_of_another_name_is_tried_with_what_is_installed(installed, plan):
    installed("tensorrt")
    assert [profile.maximum for profile in open_engine(plan("engine.plan")).profiles] == [(8, 24, 32, 3)]


@pytest.mark.parametrize(
    ("verdict", "error", "words"),
    [
        (
            ("INVALID", 2),
            RuntimeUnavailableError,
            r"cannot run .* here: this GPU's generation",
        ),
        (
            ("INVALID", 1 | 4),
            RuntimeUnavailableError,
            "another version; the NVIDIA driver is too old",
        ),
        (("INVALID", 32), PackageError, "is no whole plan of TensorRT-RTX"),
    ],
)
def test_rtx_is_asked_for_its_verdict_first(installed, plan, monkeypatch, verdict, error, words):
    found = installed("rtx")
    monkeypatch.setattr(found.trt.Runtime, "validity", verdict)
    monkeypatch.setattr(found.trt.Runtime, "deserialize_cuda_engine", None)  # not even tried
    with pytest.raises(error, match=words):
        open_engine(plan())


def test_a_plan_that_runs_but_not_well_is_a_warning(installed, plan, monkeypatch, caplog):
    found = installed("rtx")
    monkeypatch.setattr(found.trt.Runtime, "validity", ("SUBOPTIMAL", 0))
    open_engine(plan())
    assert "not as fast as one built for this machine" in caplog.text


def test_a_plan_that_does_not_load_says_why_without_the_echo_of_a_missing_driver(installed, plan):
    installed("tensorrt")
    with pytest.raises(RuntimeUnavailableError, match=r"does not load .*: Serialization assertion") as error:
        open_engine(plan("fp16-tensorrt-10.13.3.9-sm86.plan", b"garbage"))
    assert "cudaError 35" not in str(error.value)


def start(path):
    """Open a plan and make it ready to run, which is when TensorRT-RTX compiles."""
    opened = open_engine(path)
    opened.new_context(opened.profiles[0], stream=1)
    return opened


def test_what_rtx_compiled_is_kept_for_the_next_start(installed, plan, cache):
    found = installed("rtx")
    path = plan()
    start(path).close()
    (file,) = cache.iterdir()
    assert file.read_bytes() == found.trt.IRuntimeCache.content
    start(path)
    assert found.trt.IRuntimeCache.read == found.trt.IRuntimeCache.content


def test_a_plan_that_was_only_looked_at_leaves_no_cache(installed, plan, cache):
    installed("rtx")
    open_engine(plan()).close()
    assert not cache.exists()


def test_kernels_of_another_gpu_are_compiled_again(installed, plan, cache, caplog):
    installed("rtx")
    path = plan()
    start(path).close()
    (file,) = cache.iterdir()
    file.write_bytes(b"of another GPU")
    with caplog.at_level(logging.INFO):
        start(path)
    assert "kernels are compiled again" in caplog.text


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(installed, plan, monkeypatch, caplog):
    installed("rtx")
    monkeypatch.setattr(runtime_cache, "cache_folder", lambda: Path("/dev/null/cache"))
    with caplog.at_level(logging.INFO):
        start(plan()).close()
    assert "compiled kernels are not kept" in caplog.text


@pytest.mark.skipif(HAS_CUDA, reason="there is a CUDA device")
def test_the_runtime_asks_for_a_gpu_before_it_asks_for_tensorrt(tmp_path):
    with pytest.raises(RuntimeUnavailableError, match="TensorRT needs an NVIDIA GPU: "):
        TensorRTRuntime(tmp_path / ANYWHERE)
    assert TensorRTRuntime.obstacle(tmp_path / ANYWHERE, "cuda") == cuda_libraries.missing_device()


def test_obstacles_are_told_from_the_name_alone(installed, monkeypatch, tmp_path):
    monkeypatch.setattr(tensorrt_runtime, "missing_device", lambda: None)
    installed("rtx")
    obstacle = TensorRTRuntime.obstacle
    assert obstacle(tmp_path / ANYWHERE, "cuda") is None
    assert "built by version 1.6.0.1" in str(obstacle(tmp_path / "fp16-rtx-1.6.0.1-portable.plan", "cuda"))
    assert "NVIDIA GPUs only" in str(obstacle(tmp_path / ANYWHERE, "cpu"))
