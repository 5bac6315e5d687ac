import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from modelpack.errors import PackageError, RuntimeUnavailableError, ShapeError, UnknownNameError
from modelpack.runtimes import RUNTIMES, cuda_libraries, open_runtime
from modelpack.runtimes import onnxruntime as onnxruntime_runtime
from modelpack.runtimes.onnxruntime import OnnxRuntime
from modelpack.tables import resolve
from tests.tiny_package import IR_VERSION, OPSET, tiny_answer, tiny_confidence, write_tiny_package

HAS_CUDA = cuda_libraries.missing_device() is None
OPEN_ONNX = [name for name, target in RUNTIMES.items() if "onnx" in resolve(target).artifact_kinds]
ON_CPU = [
    pytest.param(name, marks=pytest.mark.skipif(reason is not None, reason=str(reason)))
    for name in OPEN_ONNX
    for reason in [resolve(RUNTIMES[name]).obstacle(Path("model.onnx"), "cpu")]
]
"""Runtimes that open ONNX graphs; skipped is what computes in a type that this CPU does not have."""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return write_tiny_package(tmp_path_factory.mktemp("packages") / "fixed", confidence=True)


@pytest.fixture(scope="module")
def dynamic_package(tmp_path_factory):
    return write_tiny_package(tmp_path_factory.mktemp("packages") / "dynamic", size=None)


def images(n=2, height=48, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ON_CPU)
def test_every_runtime_gives_all_outputs_by_name(package, name):
    runtime = open_runtime(package, runtime=name, device="cpu")
    outputs = runtime.run(images())
    assert set(outputs) == {"mask", "confidence"}
    assert np.array_equal(outputs["mask"], tiny_answer(images()))
    assert np.array_equal(outputs["confidence"], tiny_confidence(images()))
    runtime.close()


@pytest.mark.parametrize("name", ON_CPU)
def test_every_runtime_says_what_it_is(package, name):
    runtime = open_runtime(package, runtime=name, device="cpu", threads=1)
    described = runtime.describe()
    assert described["runtime"] == runtime.name == name
    assert described["device"] == runtime.device == "cpu"
    assert described["provider"] == runtime.provider
    assert described["threads"] == 1
    assert described["version"]


@pytest.mark.parametrize("name", ON_CPU)
def test_every_runtime_may_be_called_from_several_threads(dynamic_package, name):
    runtime = open_runtime(dynamic_package, runtime=name, device="cpu", threads=1)

    def call(seed):
        batch = images(1 + seed % 3, 32 + 8 * seed, 40, seed)
        return np.array_equal(runtime.run(batch)["mask"], tiny_answer(batch))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(call, range(32)))


@pytest.mark.parametrize("name", ON_CPU)
@pytest.mark.parametrize(
    "wrong",
    [
        images().astype(np.float32),
        images()[0],
        images(height=40),
        images()[:0],
        images().transpose(0, 3, 1, 2),
    ],
    ids=["dtype", "rank", "height", "empty batch", "channels first"],
)
def test_every_runtime_refuses_what_its_graph_cannot_take(package, name, wrong):
    runtime = open_runtime(package, runtime=name, device="cpu")
    with pytest.raises(ShapeError) as caught:
        runtime.run(wrong)
    assert str(caught.value) == (
        f"the graph takes image uint8 (batch, 48, 64, 3), got {wrong.dtype} {wrong.shape}. "
        "Resize the images to that size and pass RGB with the channels last."
    )


@pytest.mark.parametrize("name", ON_CPU)
def test_every_runtime_takes_views(package, name):
    flipped = images()[:, ::-1, :, ::-1]
    runtime = open_runtime(package, runtime=name, device="cpu")
    assert np.array_equal(runtime.run(flipped)["confidence"], tiny_confidence(flipped))


def test_sessions_get_their_threads_do_not_spin_and_never_fall_back(package, monkeypatch):
    seen = {}

    class Recorder(onnxruntime.InferenceSession):
        def __init__(self, path, options, **arguments):
            seen.update(arguments, options=options)
            super().__init__(path, options, **arguments)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Recorder)
    open_runtime(package, runtime="onnxruntime", device="cpu", threads=3)
    assert seen["enable_fallback"] == 0
    assert seen["providers"] == ["CPUExecutionProvider"]
    options = seen["options"]
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_fixed_batch_is_held_to(tmp_path):
    runtime = open_runtime(write_tiny_package(tmp_path / "p", batch=2), device="cpu")
    with pytest.raises(ShapeError, match=r"takes image uint8 \(2, 48, 64, 3\), got uint8 \(3, 48, 64, 3\)"):
        runtime.run(images(3))


def test_an_unknown_runtime_gets_the_list(package):
    with pytest.raises(UnknownNameError, match=r"unknown runtime 'onxruntime'\. Did you mean 'onnxruntime'"):
        open_runtime(package, runtime="onxruntime")


@pytest.mark.parametrize("name", ON_CPU)
def test_a_file_that_is_no_graph_is_a_package_error(tmp_path, name):
    (tmp_path / "m.onnx").write_bytes(b"not a graph")
    with pytest.raises(PackageError, match=r"m\.onnx cannot be loaded by (ONNX Runtime|OpenVINO): .+"):
        resolve(RUNTIMES[name])(tmp_path / "m.onnx", device="auto")


@pytest.mark.parametrize("name", ON_CPU)
def test_a_graph_that_takes_floats_is_no_deployed_graph(tmp_path, name):
    shape = ["batch", 3, 8, 8]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "floats",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    opset = helper.make_opsetid("", OPSET)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION), tmp_path / "m.onnx")
    with pytest.raises(PackageError, match=r"is no deployed graph: it takes x float.* must take one uint8"):
        resolve(RUNTIMES[name])(tmp_path / "m.onnx", device="cpu")


@pytest.mark.skipif(HAS_CUDA, reason="there is a CUDA device")
def test_without_a_driver_cuda_is_an_error_and_auto_is_the_cpu(package, caplog):
    with pytest.raises(
        RuntimeUnavailableError, match=r"device cuda is not available: .* Use device=cpu to run"
    ):
        open_runtime(package, device="cuda")
    with caplog.at_level("INFO"):
        assert open_runtime(package, device="auto").device == "cpu"
        assert OnnxRuntime(package.artifact_path()).device == "cpu"
    assert "on cpu: every CPU computes in fp32 (not onnx-fp32 in onnxruntime on cuda: there is" in caplog.text
    assert "running on the CPU: " in caplog.text


@pytest.mark.skipif(HAS_CUDA, reason="there is a CUDA device")
@pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(), reason="built without CUDA"
)
def test_the_silent_fallback_of_onnxruntime_is_an_error(package, monkeypatch):
    monkeypatch.setattr(onnxruntime_runtime, "missing_device", lambda: None)
    monkeypatch.setattr(onnxruntime_runtime, "preload_wheel_libraries", lambda: ())
    with pytest.raises(RuntimeUnavailableError, match=r"needs the libraries of CUDA .* LD_LIBRARY_PATH"):
        open_runtime(package, device="cuda")
    assert open_runtime(package, device="auto").device == "cpu"


def test_a_build_without_cuda_says_which_package_has_it(package, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(
        RuntimeUnavailableError, match=r"is built without CUDA \(put onnxruntime-gpu in its place\)"
    ):
        open_runtime(package, device="cuda")


def test_the_libraries_of_torchs_wheels_are_loaded_without_importing_torch(tmp_path, monkeypatch):
    folder = tmp_path / "nvidia/cu13/lib"
    folder.mkdir(parents=True)
    for name in ("libcublas.so.13", "libcublasLt.so.13", "libcudart.so.13", "libnvtx.so.1"):
        (folder / name).touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    loaded = []
    monkeypatch.setattr(ctypes, "CDLL", lambda path, mode: loaded.append(path))
    cuda_libraries.preload_wheel_libraries.cache_clear()
    try:
        names = cuda_libraries.preload_wheel_libraries()
    finally:
        cuda_libraries.preload_wheel_libraries.cache_clear()
    assert names == ("libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13")
    assert loaded == [str(folder / name) for name in names]


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="no CUDA device")
def test_cuda_gives_the_same_answer(package):
    runtime = open_runtime(package, device="cuda")
    assert runtime.device == "cuda:0"
    assert runtime.provider == "CUDAExecutionProvider"
    assert np.array_equal(runtime.run(images())["mask"], tiny_answer(images()))
