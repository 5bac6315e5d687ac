"""PyTorch to ONNX: exported by dynamo, simplified, checked, with names and facts that consumers rely on."""

import contextlib
import io
import json
import logging
import re
import warnings
from collections.abc import Iterator

import onnx
import onnxslim
import torch
from torch.export import Dim

from distill.quantisation.constant_scales import constant_scales
from export.errors import ExportError
from export.graph import IMAGE, DeployedGraph
from export.onnx_edges import check_uint8_edges, read_sizes_behind_the_cast
from export.qdq import TRANSLATIONS, store_weights_as_int8
from modelpack.labels import LabelSet

log = logging.getLogger(__name__)

DYNAMIC_TRACE_SIZE = (128, 192)
"""What a graph of dynamic size is traced with. Unequal: the tracer may take equal sides for one symbol."""
TRACE_BATCH = 2
"""A batch of one would be traced as a constant."""
_DIMENSIONS = ("batch", "height", "width")


def export_onnx(
    graph: DeployedGraph, size: tuple[int, int] | None, labels: LabelSet, opset: int
) -> onnx.ModelProto:
    """The deployed graph in float32 with a dynamic batch and its initialisers inside.

    A student that was trained with int8 values keeps them: Q/DQ pairs before its layers, int8 weights.
    size None: dynamic height and width.
    Raises ExportError naming the operator that has no ONNX form, or the rule that the graph breaks.
    """
    graph = graph.eval().cpu()
    model = _simplify(_trace(graph, size, opset))
    store_weights_as_int8(model)
    _strip_provenance(model)
    _name_dimensions(model)
    read_sizes_behind_the_cast(model, IMAGE)
    _embed_facts(model, graph, labels)
    onnx.checker.check_model(model, full_check=True)
    check_uint8_edges(model)
    return model


def _trace(graph: DeployedGraph, size: tuple[int, int] | None, opset: int) -> onnx.ModelProto:
    height, width = size or DYNAMIC_TRACE_SIZE
    image = torch.zeros(TRACE_BATCH, height, width, 3, dtype=torch.uint8)
    free = range(3 if size is None else 1)
    try:
        with _quiet(), torch.no_grad(), constant_scales(graph):
            program = torch.onnx.export(
                graph,
                (image,),
                dynamo=True,
                dynamic_shapes=(dict.fromkeys(free, Dim.DYNAMIC),),
                input_names=[IMAGE],
                output_names=list(graph.output_names),
                opset_version=opset,
                custom_translation_table=TRANSLATIONS,
                external_data=False,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise ExportError(_explain(error, size)) from error
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    written = next(entry.version for entry in model.opset_import if not entry.domain)
    if written != opset:
        raise ExportError(
            f"the graph cannot be written in opset {opset} (the exporter kept {written}). "
            f"Set export.opset={written}."
        )
    return model


def _simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    with _quiet():
        slim: onnx.ModelProto = onnxslim.slim(model)
    return slim


def _explain(error: BaseException, size: tuple[int, int] | None) -> str:
    causes = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    operator = re.search(
        r"No (?:ONNX function|decompositions?)[^<]*<OpOverload\(op='([\w.]+)'", "\n".join(causes)
    )
    if operator:
        return (
            f"operator {operator[1]} has no ONNX form in this exporter. Replace it in the network's forward, "
            "or train another network."
        )
    reason = next((line.strip() for line in causes[-1].splitlines() if line.strip()), type(error).__name__)
    way_out = " Fixed sizes may work: set export.size=[height, width]." if size is None else ""
    return f"the network cannot be exported to ONNX: {reason}{way_out}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporter and simplifier print progress and warn about their own insides; none of it is for our user."""
    loggers = [
        logging.getLogger(name)
        for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir", "ONNXSlim")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _strip_provenance(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes for itself: stack traces with local paths, symbolic value shapes."""
    model.doc_string = ""
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
    for item in (graph, *graph.node, *graph.initializer):
        item.doc_string = ""
    del graph.value_info[:]
    graph.name = "deployed"


def _name_dimensions(model: onnx.ModelProto) -> None:
    """Give the dynamic axes their names in place of the tracer's symbols."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    names = {dim.dim_param: name for dim, name in zip(dims, _DIMENSIONS, strict=False) if dim.dim_param}
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = names.get(dim.dim_param, dim.dim_param)


def _embed_facts(model: onnx.ModelProto, graph: DeployedGraph, labels: LabelSet) -> None:
    """What a reader of the bare file needs: class names, colours, and what happens to the pixels inside."""
    onnx.helper.set_model_props(
        model,
        {
            "classes": json.dumps(labels.names),
            "palette": json.dumps(labels.palette),
            "normalisation": graph.network.normalisation.model_dump_json(),
        },
    )
