"""Runtimes that tell where a call spent its time give the same answer, and times that fit into the call."""

import numpy as np
import pytest

from modelpack.errors import ShapeError
from modelpack.runtimes import open_runtime
from modelpack.runtimes.runtime import TimedRuntime
from tests.tiny_package import write_tiny_package

ON_CPU = ("onnxruntime", "openvino")


@pytest.fixture(scope="module", params=ON_CPU)
def runtime(request, tmp_path_factory):
    package = write_tiny_package(tmp_path_factory.mktemp("staged") / "package", confidence=True)
    return open_runtime(package, artifact="onnx-fp32", runtime=request.param, device="cpu", threads=1)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)


def test_outputs_are_those_of_an_untimed_call(runtime, images):
    timed, _ = runtime.run_timed(images)
    plain = runtime.run(images)
    assert list(timed) == list(plain)
    for name, output in plain.items():
        np.testing.assert_array_equal(timed[name], output)


def test_stages_of_a_call_on_the_cpu_are_the_graph_and_the_whole(runtime, images):
    assert isinstance(runtime, TimedRuntime)
    _, stages = runtime.run_timed(images)
    assert 0 < stages.compute_ms <= stages.host_ms
    assert (stages.enqueue_ms, stages.h2d_ms, stages.d2h_ms) == (None, None, None)


def test_what_does_not_fit_is_refused_as_in_an_untimed_call(runtime, images):
    with pytest.raises(ShapeError):
        runtime.run_timed(images[:, :40])


def test_a_view_is_timed_too(runtime, images):
    timed, _ = runtime.run_timed(images[:, :, ::-1])
    np.testing.assert_array_equal(
        timed["mask"], runtime.run(np.ascontiguousarray(images[:, :, ::-1]))["mask"]
    )
