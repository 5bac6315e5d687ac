"""Students that were trained with int8 values: their graph is TensorRT's Q/DQ form of what was trained."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from distill.datasets.camvid import CAMVID_LABELS
from distill.networks import build_network
from distill.networks.output import SegNetwork, normalise
from distill.quantisation.calibration import activation_quantisers, calibrate
from distill.quantisation.insert import quantise_network
from distill.quantisation.settings import QuantisationConfig
from distill.run import RESULT_FILE, TrainingRun, load_student
from distill.weights import STUDENT_FILE, save_weights
from export.build import export_model
from export.config import ExportConfig
from export.errors import ExportError
from export.graph import DeployedGraph
from export.onnx_export import export_onnx
from export.precision.artifact import KEPT
from export.precision.onnx_graph import prove_onnx
from export.qdq import is_quantised, write_as_trained
from export.tensorrt.plan import build_plan
from export.tensorrt.settings import TensorRTSettings
from tests.distill.small_networks import Branching, WithLinear, with_statistics
from tests.export.tiny_run import NETWORK, write_tiny_run

MIN_AGREEMENT = 0.999
"""Of masks: a value on the border between two steps may be rounded the other way."""
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)


def quantised(network: SegNetwork, **settings: object) -> SegNetwork:
    config = QuantisationConfig(**settings)
    quantise_network(network, config)
    calibrate(network, [IMAGES[:1]], config.calibrator)
    return network.eval()


def exported(network: SegNetwork) -> onnx.ModelProto:
    return export_onnx(DeployedGraph(network), (64, 96), CAMVID_LABELS, opset=18)


CASES = {
    "branching": (Branching, "per_channel"),
    "one scale for a weight": (Branching, "per_tensor"),
    "linear": (WithLinear, "per_channel"),
}


@pytest.fixture(scope="module")
def cases() -> dict[str, tuple[SegNetwork, onnx.ModelProto]]:
    """Networks and their graphs. Leave them as they are."""
    torch.manual_seed(0)
    networks = {
        name: quantised(with_statistics(kind()), weights=weights) for name, (kind, weights) in CASES.items()
    }
    return {name: (network, exported(network)) for name, network in networks.items()}


@pytest.fixture(scope="module")
def model(cases: dict[str, tuple[SegNetwork, onnx.ModelProto]]) -> onnx.ModelProto:
    """With grouped convolutions, a norm that stays, and layers that share an input."""
    return cases["branching"][1]


def makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in model.graph.node for name in node.output}


def masks(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["mask"], {"image": IMAGES})[0]


@torch.no_grad()
def trained_masks(network: SegNetwork) -> np.ndarray:
    output = network(normalise(torch.from_numpy(IMAGES), network.normalisation))
    return output.full_logits(IMAGES.shape[1:3]).argmax(1).numpy()


def test_weights_are_integers_behind_a_dequantisation_and_biases_are_floats(model: onnx.ModelProto):
    constants = {entry.name: entry for entry in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 4
    for node in convolutions:
        dequantise = makers(model)[node.input[1]]
        assert dequantise.op_type == "DequantizeLinear"
        assert constants[dequantise.input[0]].data_type == TensorProto.INT8
        assert makers(model)[node.input[0]].op_type == "DequantizeLinear"
        if len(node.input) > 2:
            assert constants[node.input[2]].data_type == TensorProto.FLOAT
    floats = [entry for entry in constants.values() if entry.data_type == TensorProto.FLOAT]
    assert all(len(entry.dims) < 4 or np.prod(entry.dims) <= 8 for entry in floats)
    assert TensorProto.INT32 not in {entry.data_type for entry in constants.values()}


def test_no_zero_point_is_anything_but_zero(model: onnx.ModelProto):
    constants = {entry.name: onnx.numpy_helper.to_array(entry) for entry in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    for node in nodes:
        zero = constants[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()


def test_layers_that_share_an_input_read_one_quantised_tensor(model: onnx.ModelProto):
    quantised_tensors = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantised_tensors) == 3


@pytest.mark.parametrize("case", CASES)
def test_the_graph_answers_as_the_network_was_trained(cases, case: str):
    network, model = cases[case]
    assert (masks(model) == trained_masks(network)).mean() >= MIN_AGREEMENT


def test_a_linear_layers_weight_is_dequantised_where_it_is_multiplied(cases):
    model = cases["linear"][1]
    product = next(node for node in model.graph.node if node.op_type in ("MatMul", "Gemm"))
    assert {makers(model)[name].op_type for name in product.input[:2]} == {"DequantizeLinear"}


def test_every_layer_is_proved_to_compute_in_int8(model: onnx.ModelProto):
    prove_onnx(model, "int8").check("onnx-int8")


def test_the_scales_are_live_again_after_an_export(cases):
    network = deepcopy(cases["branching"][0])
    before = trained_masks(network)
    for quantiser in activation_quantisers(network).values():
        quantiser.log_scale.data += 2
    assert (trained_masks(network) != before).any()


def test_tensorrt_builds_it(model: onnx.ModelProto, tmp_path: Path):
    onnx.save(model, tmp_path / "model.onnx")
    built = build_plan(tmp_path / "model.onnx", tmp_path / "model.plan", "int8", TensorRTSettings())
    assert (tmp_path / "model.plan").stat().st_size > 0
    built.proof.check("tensorrt-int8")


def test_a_float_graph_is_left_alone(tiny_graph: onnx.ModelProto):
    assert not is_quantised(tiny_graph)


@pytest.fixture
def quantised_run(tiny_run: Path, tmp_path: Path) -> Path:
    """A finished run of the tiny network with int8 values, without its training."""
    folder = write_tiny_run(
        tmp_path / "int8", student={"init": str(tiny_run), "quantisation": {"calibrator": "minmax"}}
    )
    network = build_network(NETWORK, CAMVID_LABELS.num_classes)
    save_weights(quantised(network, calibrator="minmax"), folder / STUDENT_FILE)
    return folder


def test_a_quantised_run_has_no_float_graph(quantised_run: Path, tiny_run: Path, tmp_path: Path):
    with pytest.raises(
        ExportError, match=r"trained with int8 values.* export.targets=\[onnx-int8\].*"
    ) as refusal:
        export_model(ExportConfig(run_dir=quantised_run, package_dir=tmp_path / "package"))
    assert str(tiny_run) in str(refusal.value)


def test_a_quantised_run_becomes_a_package_with_the_scales_it_was_trained_with(
    quantised_run: Path, tmp_path: Path
):
    report = {"split": "val", "images": 6, "miou": 0.4}
    start = {"path": "runs/float", "weights_sha256": "ab" * 32, "network": NETWORK, "report": report}
    result = {"report": {**report, "miou": 0.396}, "started_from": start}
    (quantised_run / RESULT_FILE).write_text(json.dumps(result))
    package = export_model(
        ExportConfig(run_dir=quantised_run, package_dir=tmp_path / "package", targets=("onnx-int8",))
    )
    (artifact,) = package.manifest.artifacts
    assert (artifact.precision, artifact.details["quantisation"]) == ("int8", "as trained")
    assert artifact.details["parity"]["agreement"] >= MIN_AGREEMENT
    model = onnx.load(package.artifact_path("onnx-int8"))
    constants = {entry.name: onnx.numpy_helper.to_array(entry) for entry in model.graph.initializer}
    found = [float(constants[n.input[1]]) for n in model.graph.node if n.op_type == "QuantizeLinear"]
    network = load_student(TrainingRun.open(quantised_run))
    trained = [float(quantiser.log_scale.exp()) for quantiser in activation_quantisers(network).values()]
    assert found == pytest.approx(trained)
    card = " ".join((package.path / "README.md").read_text().split())
    assert "mIoU 39.60 on val (6 images), and the float run had 40.00 on val (6 images): 99.0 % of it" in card


def test_layers_that_training_skipped_are_declared_as_kept(tmp_path: Path):
    torch.manual_seed(0)
    network = quantised(with_statistics(Branching()), skip=("left",), skip_last=True)
    details = write_as_trained(exported(network), tmp_path / "model.onnx")
    proof = prove_onnx(onnx.load(tmp_path / "model.onnx"), "int8", details[KEPT])
    assert (len(details[KEPT]), proof.in_claimed, proof.others) == (2, 2, {})
