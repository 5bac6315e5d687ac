"""Int8 after training: the float graph with Q/DQ pairs, in the form that TensorRT and OpenVINO take.

Inputs of products are int8 with one scale and no zero point, weights int8 with a scale for each output
channel and stored as such, biases float. Results stay in float: what comes next (bias, ReLU, the next Q)
fuses with the product, and a second rounding would only lose.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto
from onnxruntime.quantization import QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData

from distill.quantisation.calibrators import CALIBRATORS, percentile
from distill.quantisation.histogram import Histogram
from export.activations import measure_activations
from export.errors import ExportError
from export.int8_settings import Int8Settings
from export.onnx_edges import element_types
from export.quantisable import OPERATOR_SETS, PRODUCTS, quantisable_nodes
from modelpack.tables import lookup

_RANGE_OF_ZEROS = 1.0
"""For a tensor that was zero on every image."""


def quantise(
    model: onnx.ModelProto,
    calibration: Sequence[NDArray[np.uint8]],
    settings: Int8Settings,
    keep_float32: Collection[str] = (),
) -> onnx.ModelProto:
    """The int8 graph of a deployed float graph.

    calibration: images as the graph takes them. keep_float32: names of nodes that compute as before. Raises
    ExportError where there is nothing to quantise or to calibrate on.
    """
    return quantise_measured(model, measure_inputs(model, calibration, settings), settings, keep_float32)


def measure_inputs(
    model: onnx.ModelProto, calibration: Sequence[NDArray[np.uint8]], settings: Int8Settings
) -> dict[str, Histogram]:
    """Histograms of all tensors that may be quantised, whichever nodes are kept in float32 later."""
    types = element_types(model)
    constants = {entry.name for entry in model.graph.initializer}
    nodes = quantisable_nodes(model, OPERATOR_SETS[settings.operators])
    read = {name for node in nodes for name in node.input} - constants
    floats = {name for name in read if types[name] == TensorProto.FLOAT}
    return measure_activations(model, floats, calibration)


def quantise_measured(
    model: onnx.ModelProto,
    histograms: Mapping[str, Histogram],
    settings: Int8Settings,
    keep_float32: Collection[str] = (),
) -> onnx.ModelProto:
    """`quantise` with what `measure_inputs` gave."""
    nodes = [
        node
        for node in quantisable_nodes(model, OPERATOR_SETS[settings.operators])
        if node.name not in keep_float32
    ]
    if not nodes:
        raise ExportError(
            f"there is nothing to quantise: the graph has no {', '.join(PRODUCTS)} with a constant weight "
            f"beside the {len(keep_float32)} nodes that stay in float32. Leave onnx-int8 out of "
            "export.targets."
        )
    operators = sorted({node.op_type for node in nodes})
    quantiser = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8,
        tensors_range=_ranges(histograms, settings),
        nodes_to_quantize=[node.name for node in nodes],
        nodes_to_exclude=[],
        op_types_to_quantize=operators,
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "QDQDisableWeightAdjustForInt32Bias": True,
            "ForceQuantizeNoInputCheck": True,
            "OpTypesToExcludeOutputQuantization": operators,
        },
    )
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    quantised: onnx.ModelProto = quantiser.model.model
    _restore_floats(quantised, model, {node.name for node in nodes})
    _restore_facts(quantised, model)
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


def _ranges(histograms: Mapping[str, Histogram], settings: Int8Settings) -> TensorsData:
    choose = lookup(CALIBRATORS, "calibrator", settings.calibrator)
    if choose is percentile:
        choose = partial(percentile, share=settings.percentile / 100)
    largest = {name: np.float32(choose(seen) or _RANGE_OF_ZEROS) for name, seen in histograms.items()}
    ranges = {name: TensorData(lowest=-value, highest=value) for name, value in largest.items()}
    return TensorsData(CalibrationMethod.MinMax, ranges)


def _restore_floats(quantised: onnx.ModelProto, model: onnx.ModelProto, in_int8: Collection[str]) -> None:
    """Let nodes that are not quantised read what they read in `model`.

    The library gives every reader of a quantised tensor the rounded values: a residual connection would
    carry the error of each block to the end.
    """
    inputs = {node.name: node.input for node in model.graph.node if node.name not in in_int8}
    for node in quantised.graph.node:
        if node.name in inputs:
            node.input[:] = inputs[node.name]


def _restore_facts(quantised: onnx.ModelProto, model: onnx.ModelProto) -> None:
    """Leave what the library notes for itself out and the file's own facts (class names, colours) in."""
    del quantised.graph.value_info[:]
    del quantised.metadata_props[:]
    quantised.metadata_props.extend(model.metadata_props)
