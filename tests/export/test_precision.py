"""The proof of precision: what a graph computes in, by its tensors and not by its name."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.precision.artifact import PROOF, prove
from export.precision.onnx_graph import prove_onnx
from export.precision.onnx_session import executed_types
from export.precision.proof import ComputeNode, PrecisionError, PrecisionProof
from export.targets import TARGETS
from export.targets.target import BuildContext
from modelpack.errors import PackageError
from tests.export.precision_graphs import (
    CHANNELS,
    FLOAT16,
    KERNELS,
    OPSET,
    SCALE,
    Graph,
    float32_around_float16,
    in_float16,
    in_float32,
    in_int8,
)

INTEGERS = np.arange(CHANNELS**2, dtype=np.int8).reshape(KERNELS[0].shape)
HONEST = {"fp32": in_float32, "fp16": in_float16, "int8": in_int8}


@pytest.mark.parametrize("claimed", HONEST)
def test_an_honest_graph_proves_its_type_and_no_other(claimed):
    model = HONEST[claimed]()
    onnx.checker.check_model(model, full_check=True)
    proof = prove_onnx(model, claimed)
    assert (proof.nodes, proof.in_claimed, proof.share, proof.broken) == (2, 2, 1.0, None)
    for other in HONEST.keys() - {claimed}:
        assert prove_onnx(model, other).in_claimed == 0
        with pytest.raises(PrecisionError, match=f"2 of 2 .* do not compute in {other}: first"):
            prove_onnx(model, other).check("some-target")


@pytest.mark.parametrize("claimed", ["fp32", "fp16"])
def test_every_target_writes_what_it_claims(tiny_graph, open_gate, tmp_path, claimed):
    target = TARGETS[f"onnx-{claimed}"]
    path = tmp_path / "model.onnx"
    details = target.build(BuildContext(tiny_graph, open_gate().config, ()), path)
    proof = prove("target", path, "onnx", claimed, details)
    assert (proof.nodes, proof.in_claimed) == (2, 2)


def test_float32_with_float16_weights_and_casts_around_every_convolution_is_float32():
    proof = prove_onnx(float32_around_float16(), "fp16")
    assert proof.others == dict.fromkeys(("first", "second"), "fp16 cast to fp32")


def test_quantised_inputs_alone_do_not_make_a_network_int8():
    proof = prove_onnx(in_int8(kinds=("int8", "fp32")), "int8")
    assert proof.others == {"second": "fp32"}
    with pytest.raises(PrecisionError, match=r"1 of 2 .* second \(fp32\)"):
        proof.check("onnx-int8")


@pytest.mark.parametrize(("half", "kind"), [("data", "int8 x fp32"), ("weights", "fp32 x int8")])
def test_a_convolution_of_one_quantised_operand_is_no_int8(half, kind):
    assert prove_onnx(in_int8(kinds=("int8", half)), "int8").others == {"second": kind}


def test_weights_quantised_in_the_file_do_not_pass_as_float32():
    assert prove_onnx(in_int8(kinds=("fp32", "weights")), "fp32").others == {"second": "fp32 x int8"}


def test_quantised_values_may_be_rearranged_on_their_way():
    graph = Graph()
    moved = graph.add("Transpose", graph.quantised("in"), perm=[0, 1, 3, 2])
    flat = graph.add(
        "Reshape", graph.stored(np.arange(16, dtype=np.int8)), graph.constant(np.array([4, 4, 1, 1]))
    )
    model = graph.model(graph.conv(moved, flat, "first"))
    assert prove_onnx(model, "int8").broken is None


def test_quantised_values_that_are_computed_with_before_the_convolution_are_float32():
    graph = Graph()
    doubled = graph.add("Add", graph.quantised("in"), graph.quantised("in"))
    model = graph.model(graph.conv(doubled, graph.stored(INTEGERS), "first"))
    assert prove_onnx(model, "int8").others == {"first": "fp32 x int8"}


@pytest.mark.parametrize("scale", [100.0, 0.0, np.nan])
def test_integers_that_hold_nothing_prove_nothing(scale):
    graph = Graph()
    step, zero = graph.constant(np.array(scale, np.float32)), graph.constant(np.int8(0))
    weights = graph.add("QuantizeLinear", graph.constant(KERNELS[0]), step, zero)
    model = graph.model(
        graph.conv(graph.quantised("in"), graph.add("DequantizeLinear", weights, step, zero), "first")
    )
    assert "int8 x int8 " in prove_onnx(model, "int8").others["first"]


def test_wide_integers_are_no_int8():
    graph = Graph()
    data = graph.add(
        "DequantizeLinear", graph.constant(np.zeros((1, 4, 8, 8), np.int32)), graph.constant(SCALE)
    )
    model = graph.model(graph.conv(data, graph.stored(INTEGERS), "first"))
    assert prove_onnx(model, "int8").others == {"first": "dequantised INT32 x int8"}


def test_nodes_kept_on_purpose_pass_openly_and_are_listed():
    proof = prove_onnx(in_int8(kinds=("int8", "fp32")), "int8", kept={"second", "not a convolution"})
    assert (proof.broken, proof.kept, proof.in_claimed, proof.share) == (None, {"second": "fp32"}, 1, 1.0)


def test_a_graph_that_keeps_everything_is_refused_however_openly():
    proof = prove_onnx(in_float32(), "int8", kept={"first", "second"})
    with pytest.raises(PrecisionError, match="only 0 of 2"):
        proof.check("onnx-int8")


def test_a_convolution_hidden_in_a_function_is_found():
    kernel = helper.make_node("Constant", [], ["kernel"], value=numpy_helper.from_array(KERNELS[0], "kernel"))
    body = [kernel, helper.make_node("Conv", ["x", "kernel"], ["y"], "inside")]
    imports = [helper.make_opsetid("", OPSET)]
    function = helper.make_function("ours", "Hidden", ["x"], ["y"], body, imports)
    graph = Graph()
    last = graph.add("Hidden", "in", name="call", domain="ours")
    proof = prove_onnx(graph.model(last, functions=[function], domains=["ours"]), "fp16")
    assert list(proof.others.values()) == ["fp32"]


def test_a_convolution_hidden_in_a_branch_is_found():
    def branch(name: str) -> onnx.GraphProto:
        output = helper.make_tensor_value_info(f"{name}/out", TensorProto.FLOAT, None)
        nodes = [helper.make_node("Conv", ["in", "kernel"], [f"{name}/out"], name)]
        return helper.make_graph(nodes, name, [], [output])

    graph = Graph()
    graph.constants.append(numpy_helper.from_array(KERNELS[0], "kernel"))
    condition = graph.constant(np.array(True))
    last = graph.add("If", condition, then_branch=branch("yes"), else_branch=branch("no"))
    assert prove_onnx(graph.model(last), "fp16").others == {"yes": "fp32", "no": "fp32"}


def test_an_operator_of_a_foreign_domain_may_hide_anything():
    graph = Graph()
    last = graph.add("Mystery", "in", name="black box", domain="ours")
    assert list(prove_onnx(graph.model(last, domains=["ours"]), "fp16").others) == ["black box"]


def test_products_of_indices_are_not_counted():
    graph = Graph()
    sides = graph.constant(np.ones((CHANNELS, CHANNELS), np.int64))
    graph.add("MatMul", sides, sides, name="indices")
    half = graph.cast("in", FLOAT16)
    last = graph.conv(half, graph.constant(KERNELS[0].astype(np.float16)), "first")
    assert prove_onnx(graph.model(graph.cast(last, TensorProto.FLOAT)), "fp16").nodes == 1


def test_a_graph_without_any_product_cannot_claim_a_low_precision():
    graph = Graph()
    model = graph.model(graph.add("Relu", "in"))
    assert prove_onnx(model, "fp32").broken is None
    assert prove_onnx(model, "fp16").broken is not None


def test_a_file_that_is_no_graph_is_a_damaged_package(tmp_path):
    (tmp_path / "model.onnx").write_bytes(in_float32().SerializeToString()[:-30])
    with pytest.raises(PackageError, match="cannot be loaded"):
        prove("onnx-fp32", tmp_path / "model.onnx", "onnx", "fp32", {})


def plan_proof(computes_in: str) -> dict:
    nodes = [ComputeNode("conv", "CONVOLUTION", computes_in)]
    return PrecisionProof.of("fp16", nodes, kept=(), established="TensorRT network").model_dump()


def test_a_plan_brings_the_proof_of_the_network_that_was_built(tmp_path):
    plan = tmp_path / "model.plan"
    assert prove("engine", plan, "tensorrt", "fp16", {PROOF: plan_proof("fp16")}).share == 1
    with pytest.raises(PrecisionError, match=r"conv \(fp32\)"):
        prove("engine", plan, "tensorrt", "fp16", {PROOF: plan_proof("fp32")})
    with pytest.raises(PrecisionError, match="its proof is of fp16"):
        prove("engine", plan, "tensorrt", "int8", {PROOF: plan_proof("fp16")})
    with pytest.raises(PrecisionError, match="it brings none"):
        prove("engine", plan, "tensorrt", "fp16", {})


@pytest.mark.parametrize("build", [in_float32, in_float16])
def test_what_a_cpu_computes_in_float32_is_told_whatever_the_graph_asks_for(tmp_path, build):
    onnx.save(build(), tmp_path / "model.onnx")
    assert executed_types(tmp_path / "model.onnx", "cpu") == {"fp32": 2}


def test_a_quantised_convolution_whose_result_stays_in_float_is_computed_in_float(tmp_path):
    onnx.save(in_int8(), tmp_path / "model.onnx")
    assert executed_types(tmp_path / "model.onnx", "cpu") == {"int8": 1, "fp32": 1}


def test_a_convolution_that_the_runtime_computes_in_int8_is_told(tmp_path):
    graph = Graph()
    first = graph.conv(graph.quantised("in"), graph.stored(INTEGERS), "first")
    onnx.save(graph.model(graph.quantised(first)), tmp_path / "model.onnx")
    assert executed_types(tmp_path / "model.onnx", "cpu") == {"int8": 1}
