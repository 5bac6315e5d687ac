"""Plans that are really run. Needs a GPU that the installed TensorRT supports."""

import numpy as np
import pytest

from export.precision.tensorrt_engine import engine_nodes
from export.tensorrt.plan import build_plan, plan_name
from export.tensorrt.settings import ShapeProfile, TensorRTSettings
from modelpack.errors import RuntimeUnavailableError
from modelpack.runtimes.cuda_libraries import missing_device
from modelpack.runtimes.onnxruntime import OnnxRuntime
from modelpack.runtimes.tensorrt import TensorRTRuntime
from modelpack.tensorrt.engine import open_engine
from modelpack.tensorrt.flavour import MODULES
from modelpack.tensorrt.graph_choice import TRIALS
from tests.export.tensorrt.small_graphs import write_convolutions

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(missing_device() is not None, reason=f"no GPU: {missing_device()}"),
]
LEAST_AGREEMENT = {"fp32": 0.999, "fp16": 0.99, "int8": 0.98}
"""Share of pixels. Kernels sum in another order, and round otherwise, than the CPU."""
SIZES = ShapeProfile(batch=(1, 2, 4), height=(32, 48, 64), width=(32, 48, 64))
SHAPES = [(1, 32, 48), (4, 64, 64), (9, 40, 56), (1, 32, 48)]


@pytest.fixture(params=MODULES)
def plan_of(request, tmp_path):
    """Build a plan with one flavour and open it; skips with the reason where it does not run here."""

    def build(graph, precision):
        settings = TensorRTSettings(flavour=request.param, profiles=(SIZES,))
        try:
            path = tmp_path / str(plan_name(precision, settings))
            build_plan(graph, path, precision, settings)
            return path, TensorRTRuntime(path)
        except RuntimeUnavailableError as error:
            pytest.skip(str(error))

    return build


@pytest.mark.parametrize("precision", LEAST_AGREEMENT)
def test_a_plan_answers_as_its_graph_at_every_shape_also_through_cuda_graphs(plan_of, tmp_path, precision):
    graph = write_convolutions(tmp_path / "graph.onnx", precision, precision, size=None)
    _, runtime = plan_of(graph, precision)
    reference = OnnxRuntime(graph, device="cpu")
    noise = np.random.default_rng(0)
    for shape in SHAPES:
        for _ in range(2 * TRIALS + 2):
            images = noise.integers(0, 256, (*shape, 3), dtype=np.uint8)
            found = runtime.run(images)["mask"]
            assert (found == reference.run(images)["mask"]).mean() >= LEAST_AGREEMENT[precision]
    assert set(runtime.describe()["launches"].values()) <= {"direct", "graph"}
    runtime.close()


def test_the_inspector_tells_the_precision_or_nothing(plan_of, tmp_path):
    graph = write_convolutions(tmp_path / "graph.onnx", "fp16", "fp16", size=None)
    path, runtime = plan_of(graph, "fp16")
    runtime.close()
    assert {node.computes_in for node in engine_nodes(open_engine(path).information())} <= {"fp16"}
