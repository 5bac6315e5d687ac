"""OpenVINO computes in the type that its name says, and says so."""

import ctypes
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import pytest
from onnx import helper

from modelpack.cpu import usable_cores
from modelpack.errors import PackageError, RuntimeUnavailableError
from modelpack.runtimes import openvino
from modelpack.runtimes.openvino import MAX_CALLS, OpenVino, OpenVinoBf16
from tests.tiny_conv import SIDE, conv_logits, quantised, write_conv_model

IMAGES = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
FLOAT32_ERROR = 1e-5
"""Of the largest logit: 27 products summed in float32. bfloat16 would be a hundred times further off."""
HAS_BF16 = OpenVinoBf16.obstacle(Path("m.onnx"), "cpu") is None


@pytest.fixture(scope="module")
def float_model(tmp_path_factory):
    return write_conv_model(tmp_path_factory.mktemp("models") / "float.onnx")


@pytest.fixture(scope="module")
def int8_model(tmp_path_factory):
    return write_conv_model(tmp_path_factory.mktemp("models") / "int8.onnx", is_int8=True)


def error_of(runtime, seen=IMAGES):
    expected = conv_logits(seen)
    return np.abs(runtime.run(IMAGES)["logits"] - expected).max() / np.abs(expected).max()


def test_a_float32_graph_computes_in_float32_also_where_the_cpu_has_bfloat16(float_model):
    runtime = OpenVino(float_model, threads=1)
    assert error_of(runtime) < FLOAT32_ERROR
    assert runtime.describe()["float_type"] == "f32"
    assert runtime.describe()["computes"] == {"f32": 1}


def test_a_quantised_convolution_runs_as_int8(int8_model):
    runtime = OpenVino(int8_model, threads=1)
    assert set(runtime.describe()["computes"]) <= {"u8", "i8"}
    assert error_of(runtime, quantised(IMAGES)) < FLOAT32_ERROR


@pytest.mark.skipif(not HAS_BF16, reason="this CPU does not compute in bfloat16")
def test_bfloat16_is_a_runtime_of_its_own_that_names_what_it_computes_in(float_model):
    runtime = OpenVinoBf16(float_model, threads=1)
    assert runtime.describe()["runtime"] == "openvino-bf16"
    assert runtime.describe()["float_type"] == "bf16"
    assert runtime.describe()["computes"] == {"bf16": 1}
    assert error_of(runtime) > FLOAT32_ERROR


@pytest.mark.skipif(HAS_BF16, reason="this CPU computes in bfloat16")
def test_bfloat16_is_refused_where_it_would_be_emulated(float_model):
    with pytest.raises(RuntimeUnavailableError, match="does not compute in bfloat16"):
        OpenVinoBf16(float_model)


def test_a_call_gets_the_threads_asked_for_and_the_cores_as_many_calls_as_they_hold(float_model):
    runtime = OpenVino(float_model, threads=1)
    calls = min(usable_cores(), MAX_CALLS)
    assert (runtime.describe()["threads"], runtime.describe()["parallel_calls"]) == (1, calls)
    assert runtime._single.compiled.get_property("NUM_STREAMS") == calls
    assert runtime._single.compiled.get_property("INFERENCE_NUM_THREADS") == calls


def test_cuda_is_refused_with_the_runtime_that_has_it(float_model):
    with pytest.raises(RuntimeUnavailableError, match=r"it runs on CPUs only .* runtime=onnxruntime is for"):
        OpenVino(float_model, device="cuda")


def test_where_it_is_not_installed_the_error_says_how_to_get_it(float_model, monkeypatch):
    monkeypatch.setattr(openvino, "_MISSING", "OpenVINO cannot be imported (no module); pip install it")
    with pytest.raises(RuntimeUnavailableError, match=r"runtime openvino cannot be used: OpenVINO cannot be"):
        OpenVino(float_model)


def test_an_operator_that_it_does_not_have_is_a_package_error(float_model, tmp_path):
    model = onnx.load(float_model)
    model.graph.node[2].op_type, model.graph.node[2].domain = "Convolve", "example.org"
    model.opset_import.append(helper.make_opsetid("example.org", 1))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(PackageError, match=r"m\.onnx cannot be loaded by OpenVINO: .*Convolve"):
        OpenVino(tmp_path / "m.onnx")


def test_an_array_that_may_not_be_written_to_is_taken(float_model):
    frozen = np.frombuffer(IMAGES.tobytes(), np.uint8).reshape(IMAGES.shape)
    runtime = OpenVino(float_model, threads=1)
    np.testing.assert_array_equal(runtime.run(frozen)["mask"], runtime.run(IMAGES)["mask"])


def test_the_thread_that_opens_a_graph_keeps_its_own_stack_for_signals(float_model):
    """A stack that OpenVINO frees with the graph must not be left to a thread that takes signals."""

    class StackForSignals(ctypes.Structure):
        _fields_: ClassVar = [
            ("start", ctypes.c_void_p),
            ("flags", ctypes.c_int),
            ("bytes", ctypes.c_size_t),
        ]

    def start() -> int | None:
        stack = StackForSignals()
        ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
        return stack.start

    before = start()
    runtime = OpenVino(float_model, device="cpu", threads=1)
    assert start() == before
    runtime.close()
