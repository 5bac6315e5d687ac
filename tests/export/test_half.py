"""A float16 graph computes in float16 but where it was told otherwise, and a CPU can be made to feel it."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.errors import ExportError
from export.half import to_float16
from export.half_emulation import emulate_float16, has_float16
from export.onnx_edges import element_types

ROUNDING = 2**-10
"""Relative, of a value that went through float16 a few times."""


def constant(name, values):
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


def chain(*nodes, constants=(), outputs=("y",)):
    """A graph of float32 from `x` (1, 4, 8, 8)."""
    graph = helper.make_graph(
        list(nodes),
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in outputs],
        list(constants),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def node(operator, inputs, output, **attributes):
    return helper.make_node(operator, inputs, [output], name=output, **attributes)


def answer(model, x):
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(1, 4, 8, 8)).astype(np.float32)


@pytest.fixture
def overflowing():
    """x * 1e6, its positive part, and back: beyond float16 in between."""
    return chain(
        node("Mul", ["x", "large"], "raised"),
        node("Relu", ["raised"], "positive"),
        node("Mul", ["positive", "small"], "y"),
        constants=(constant("large", 1e3), constant("small", 1e-3)),
    )


def test_every_float_between_the_edges_becomes_float16(overflowing):
    types = element_types(to_float16(overflowing))
    assert {name for name, kind in types.items() if kind == TensorProto.FLOAT} == {"x", "y"}


def test_neighbours_in_float32_hand_over_without_a_cast(overflowing, x):
    """What lies between them may be beyond float16."""
    half = to_float16(overflowing, {"raised", "positive", "y"})
    assert [entry.op_type for entry in half.graph.node] == ["Mul", "Relu", "Mul"]
    assert answer(half, 1e6 * x).max() == pytest.approx(1e6 * x.max(), rel=ROUNDING)


def test_a_tensor_with_several_readers_in_float32_is_cast_once(x):
    model = chain(
        node("Abs", ["x"], "size"),
        node("Exp", ["size"], "up"),
        node("Neg", ["size"], "down"),
        node("Add", ["up", "down"], "y"),
    )
    half = to_float16(model, {"up", "down", "y"})
    casts = [entry for entry in half.graph.node if entry.op_type == "Cast"]
    assert len(casts) == 2  # x to float16, size back
    np.testing.assert_allclose(answer(half, x), answer(model, x), rtol=4 * ROUNDING, atol=ROUNDING)


def test_inputs_that_onnx_defines_for_float32_stay_there(x):
    model = chain(
        node("Resize", ["x", "", "scales"], "y", mode="linear"), constants=(constant("scales", [1, 1, 2, 2]),)
    )
    half = to_float16(model)
    [scales] = half.graph.initializer
    assert scales.data_type == TensorProto.FLOAT
    np.testing.assert_allclose(answer(half, x), answer(model, x), atol=4 * ROUNDING)


def test_constants_beyond_float16_stay_finite_and_tiny_ones_positive(x):
    model = chain(
        node("Max", ["x", "lowest"], "bounded"),
        node("Add", ["bounded", "epsilon"], "y"),
        constants=(constant("lowest", -1e9), constant("epsilon", 1e-12)),
    )
    values = {entry.name: numpy_helper.to_array(entry) for entry in to_float16(model).graph.initializer}
    assert values["lowest/float16"] == np.finfo(np.float16).min
    assert values["epsilon/float16"] > 0


def test_a_graph_within_a_node_is_refused_by_name():
    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)])
    model = chain(node("If", ["yes"], "y", then_branch=body, else_branch=body))
    with pytest.raises(ExportError, match=r"node y \(If\) holds a graph"):
        to_float16(model)


def test_a_cpu_does_not_see_an_overflow_unless_float16_is_emulated(overflowing, x):
    half = to_float16(overflowing)
    large = 1e3 * x
    assert np.isfinite(answer(half, large)).all()
    assert np.isinf(answer(emulate_float16(half), large)).any()


def test_the_emulation_rounds_as_numpy_does(x):
    model = chain(
        node("Mul", ["x", "third"], "part"),
        node("Add", ["part", "x"], "y"),
        constants=(constant("third", 1 / 3),),
    )
    x_half = x.astype(np.float16)
    expected = x_half * np.float16(1 / 3) + x_half
    emulated = emulate_float16(to_float16(model))
    assert not has_float16_products(emulated)
    np.testing.assert_array_equal(answer(emulated, x), expected.astype(np.float32))


def has_float16_products(model):
    types = element_types(model)
    return any(
        types.get(name) == TensorProto.FLOAT16
        for entry in model.graph.node
        if entry.op_type != "Cast"
        for name in (*entry.input, *entry.output)
    )


def test_a_float32_graph_has_no_float16(overflowing):
    assert not has_float16(overflowing)
    assert has_float16(to_float16(overflowing))
