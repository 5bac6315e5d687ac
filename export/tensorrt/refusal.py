"""Why TensorRT refused a graph, as a sentence that its owner can act on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from export.errors import ExportError
from modelpack.tensorrt.flavour import Flavour

UNREADABLE = "MODEL_DESERIALIZE_FAILED"
ADVICE = {
    "INVALID_GRAPH": "The file contradicts itself: export the graph again",
    "INVALID_NODE": "It is no standard ONNX operator and no plugin of that name is loaded: do without it",
    "MEM_ALLOC_FAILED": "The machine has too little memory for this graph",
    UNREADABLE: "The file is no whole ONNX graph: export it again",
    "UNSUPPORTED_NODE": "This TensorRT has no converter for it: do without the operator in the network",
    "UNSUPPORTED_NODE_ATTR": "It has the operator, not with these attributes: use another form of it",
    "UNSUPPORTED_NODE_DATATYPE": "It has the operator, not in this data type: use another type",
    "UNSUPPORTED_NODE_DYNAMIC": "It needs fixed sizes: set export.size=[height, width]",
    "UNSUPPORTED_NODE_INPUT": "It wants a constant there: change the network",
    "UNSUPPORTED_NODE_SHAPE": "It takes no tensor of that shape: change the network",
}
"""Error code of the parser -> what to do."""
_OTHERWISE = "Change the network"
_LEAVE_OUT = "or leave the tensorrt targets out of export.targets, the ONNX artifacts do not need TensorRT."
_NO_WORDS = frozenset({"", "false", "true"})
"""Descriptions that are the text of a C++ condition."""


@dataclass(frozen=True)
class ParserComplaint:
    """One error of the ONNX parser."""

    code: str
    function: str
    words: str
    node_name: str
    """Empty where the error is about no node."""
    operator: str

    def __str__(self) -> str:
        node = f"node {self.node_name!r} (operator {self.operator}): " if self.node_name else ""
        words = "" if self.words in _NO_WORDS else f": {self.words}"
        return f"{node}{self.code} in {self.function}{words}"


def read_complaints(flavour: Flavour, parser: Any, graph: Path) -> tuple[ParserComplaint, ...]:
    """All errors of a parser that failed on `graph`."""
    return tuple(_read(flavour, parser.get_error(index), graph) for index in range(parser.num_errors))


def refuse(flavour: Flavour, graph: Path, complaints: tuple[ParserComplaint, ...], said: str) -> ExportError:
    """The error to raise. `said`: the first message of the log, for a parser that does not say why."""
    if not complaints:
        return ExportError(f"{flavour.title} cannot read {graph.name}: {said}. {_OTHERWISE}, {_LEAVE_OUT}")
    first = complaints[0]
    more = f" ({len(complaints) - 1} more)" if len(complaints) > 1 else ""
    advice = ADVICE.get(first.code, _OTHERWISE)
    return ExportError(f"{flavour.title} cannot take {graph.name}: {first}{more}. {advice}, {_LEAVE_OUT}")


def _read(flavour: Flavour, parser_error: Any, graph: Path) -> ParserComplaint:
    code = parser_error.code().name
    if flavour.has("error_nodes"):
        name, operator = parser_error.node_name(), parser_error.node_operator()
    elif code == UNREADABLE:
        name, operator = "", ""
    else:
        name, operator = _node(graph, parser_error.node())
    words = parser_error.desc().strip().rstrip(".")
    return ParserComplaint(code, parser_error.func(), words, name, operator)


def _node(graph: Path, index: int) -> tuple[str, str]:
    """(name, operator) of the node at that place; empty where there is none."""
    nodes = onnx.load(graph, load_external_data=False).graph.node
    return (nodes[index].name, nodes[index].op_type) if 0 <= index < len(nodes) else ("", "")
