"""An ONNX file as TensorRT understands it: parsed, type-checked, not yet built."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.tensorrt.refusal import read_complaints, refuse
from modelpack.tensorrt.flavour import Flavour
from modelpack.tensorrt.messages import collected, shared_logger


@dataclass(frozen=True)
class ParsedNetwork:
    """The network with the objects that it cannot live without."""

    flavour: Flavour
    builder: Any
    network: Any
    parser: Any
    warnings: tuple[str, ...]
    """What the parser remarked."""

    @property
    def image(self) -> Any:
        """The one input."""
        network = self.network
        return network.get_input(0)

    def layers(self) -> Iterator[Any]:
        network = self.network
        for index in range(network.num_layers):
            yield network.get_layer(index)

    def tensors(self) -> dict[str, str]:
        """Inputs and outputs: name -> type and shape, -1 for an open axis."""
        network = self.network
        inputs = [network.get_input(index) for index in range(network.num_inputs)]
        outputs = [network.get_output(index) for index in range(network.num_outputs)]
        return {tensor.name: f"{tensor.dtype.name} {tuple(tensor.shape)}" for tensor in (*inputs, *outputs)}


def parse(flavour: Flavour, graph: Path) -> ParsedNetwork:
    """Raises ExportError naming the node, its operator and what to do, for a graph that TensorRT refuses."""
    trt = flavour.trt
    logger = shared_logger(flavour)
    with collected() as messages:
        builder = trt.Builder(logger)
        network = builder.create_network(creation_flags(flavour))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(graph)):
            complaints = read_complaints(flavour, parser, graph)
            raise refuse(flavour, graph, complaints, messages.first_error("it does not say why"))
    return ParsedNetwork(flavour, builder, network, parser, tuple(messages.warnings))


def creation_flags(flavour: Flavour) -> int:
    """Types come from the graph wherever TensorRT lets them; the numbers of the flags differ by version."""
    flags = flavour.trt.NetworkDefinitionCreationFlag
    if flavour.has("strong_typing"):
        return int(1 << int(flags.STRONGLY_TYPED))
    return int(1 << int(flags.EXPLICIT_BATCH))
