import pytest

from modelpack.runtimes import tensorrt as tensorrt_runtime
from modelpack.runtimes.tensorrt import TensorRTRuntime
from modelpack.tensorrt import engine as engine_module
from tests.modelpack.tensorrt.fake_device import FakeDevice
from tests.modelpack.tensorrt.fake_tensorrt import fake_flavour, plan_bytes
from tests.modelpack.tensorrt.images import ANY_SIZE, RTX_PLAN


@pytest.fixture(autouse=True)
def _kernels_are_kept_in_a_folder_of_the_test(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def device(monkeypatch):
    device = FakeDevice()
    monkeypatch.setattr(tensorrt_runtime, "open_device", lambda: device)
    return device


@pytest.fixture
def load(device, tmp_path, monkeypatch):
    """Open a fake plan with a fake TensorRT; `flavour` is what is installed."""
    opened = []

    def load_it(*profiles, file=RTX_PLAN, flavour=None, threads=0, **plan):
        flavour = flavour or fake_flavour(device, "tensorrt" if "tensorrt" in file else "rtx")
        monkeypatch.setattr(engine_module, "find_flavour", lambda wanted="auto": flavour)
        (tmp_path / file).write_bytes(plan_bytes(*(profiles or [ANY_SIZE]), **plan))
        opened.append(TensorRTRuntime(tmp_path / file, threads=threads))
        return opened[-1]

    yield load_it
    for runtime in opened:
        runtime.close()
    assert device.is_empty, "memory, streams, graphs or events were not given back"
