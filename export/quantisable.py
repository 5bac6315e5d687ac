"""Which nodes of a float graph compute in int8."""

from collections.abc import Collection, Iterable, Sequence

import onnx

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_JOINING = ("Add", "Concat", "Mul")
OPERATOR_SETS: dict[str, tuple[str, ...]] = {
    "conv": PRODUCTS,
    "wide": (
        *PRODUCTS,
        *_JOINING,
        "AveragePool",
        "GlobalAveragePool",
        "MaxPool",
        "Resize",
    ),
}
"""Name -> ONNX operators that read int8. Products do where one factor is a constant. Others do between two
products, where all that they join is computed: pixels before the first product and logits after the last stay
in float, and so do constants that are added or multiplied."""


def quantisable_nodes(model: onnx.ModelProto, operators: Iterable[str]) -> list[onnx.NodeProto]:
    """Nodes of the main graph with one of these operators, in its order."""
    constants = {entry.name for entry in model.graph.initializer}
    nodes = model.graph.node
    products = {
        node.name
        for node in nodes
        if node.op_type in PRODUCTS and sum(name in constants for name in node.input[:2]) == 1
    }
    between = _reached_from(products, nodes) & _leading_to(products, nodes) - _products(nodes)
    with_constants = {node.name for node in nodes if node.op_type in _JOINING and constants & set(node.input)}
    chosen = products | between - with_constants
    wanted = set(operators)
    return [node for node in nodes if node.op_type in wanted and node.name in chosen]


def products_beside(model: onnx.ModelProto, quantised: Collection[str]) -> list[str]:
    """Names of products that are not among the quantised nodes: kept, or of two computed factors."""
    return sorted(_products(model.graph.node) - set(quantised))


def _products(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    return {node.name for node in nodes if node.op_type in PRODUCTS}


def _reached_from(sources: Collection[str], nodes: Sequence[onnx.NodeProto]) -> set[str]:
    """Names of nodes that compute with results of `sources`."""
    names: set[str] = set()
    tensors: set[str] = set()
    for node in nodes:
        if tensors & set(node.input):
            names.add(node.name)
        if node.name in names or node.name in sources:
            tensors |= set(node.output)
    return names


def _leading_to(targets: Collection[str], nodes: Sequence[onnx.NodeProto]) -> set[str]:
    """Names of nodes whose results `targets` compute with."""
    names: set[str] = set()
    tensors: set[str] = set()
    for node in reversed(nodes):
        if tensors & set(node.output):
            names.add(node.name)
        if node.name in names or node.name in targets:
            tensors |= set(node.input)
    return names
