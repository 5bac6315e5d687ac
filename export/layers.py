"""Layers of a deployed graph: each convolution or matrix product with the nodes that finish its result."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import onnx

from export.errors import ExportError
from export.precision.onnx_graph import COMPUTE

_PREFIX, _SUFFIX = "network.", ".weight"
"""Around a module's name in the names that the exporter gives to weights."""


@dataclass(frozen=True)
class Layer:
    """One convolution or matrix product and the nodes around it that share its fate."""

    name: str
    """Of the product's node."""
    module: str
    """What it is in the network, by its weight's name; the node's name where that tells nothing."""
    op_type: str
    nodes: frozenset[str]
    """Names of all nodes of the layer, the product's among them."""


def layers_of(model: onnx.ModelProto) -> tuple[Layer, ...]:
    """Every node in exactly one layer, in the order of the graph.

    A node that is no product belongs to the last product upstream of it (bias, activation, normalisation,
    resizing), and to the first of the graph where there is none (normalisation of the pixels). Raises
    ExportError for a graph without products and for nodes that cannot be told apart by name.
    """
    nodes = model.graph.node
    if len({node.name for node in nodes} - {""}) != len(nodes):
        raise ExportError("nodes of the graph have no names or equal ones, so no layer of it can be kept.")
    places = {node.name: place for place, node in enumerate(nodes) if node.op_type in COMPUTE}
    if not places:
        raise ExportError("the graph has no convolution and no matrix product, so it has no layers to keep.")
    first = next(iter(places))
    weights = {entry.name for entry in model.graph.initializer}
    owner_of_tensor: dict[str, str] = {}
    members: dict[str, set[str]] = {name: set() for name in places}
    for node in nodes:
        upstream = [owner_of_tensor[name] for name in node.input if name in owner_of_tensor]
        owner = node.name if node.name in places else max(upstream, key=places.__getitem__, default=first)
        members[owner].add(node.name)
        if node.name in places or upstream:
            owner_of_tensor |= dict.fromkeys(node.output, owner)
    return tuple(
        Layer(name, _module(nodes[place], weights), nodes[place].op_type, frozenset(members[name]))
        for name, place in places.items()
    )


def _module(node: onnx.NodeProto, weights: Collection[str]) -> str:
    for name in node.input:
        if name in weights and name.startswith(_PREFIX) and name.endswith(_SUFFIX):
            return str(name).removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return str(node.name)


def nodes_of(layers: Iterable[Layer]) -> frozenset[str]:
    """Names of all nodes of several layers."""
    return frozenset(node for layer in layers for node in layer.nodes)
