"""Is the graph in an ONNX file the one that the manifest describes?"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from export.artifact_runtime import open_probe
from export.verification.check import Check, judged, not_run
from modelpack.errors import SegError
from modelpack.manifest import Artifact, Manifest, TensorSpec
from modelpack.package import ModelPackage

ANY_SIDE = 64
"""Height and width of the blank image for a graph that takes any."""


def check_graph(package: ModelPackage, artifact: Artifact) -> Iterator[Check]:
    """Tensors, number of classes, metadata and opset of one artifact whose file is whole.

    A plan cannot be read back: of it only the graph that it was built from can be checked.
    """
    if artifact.kind != "onnx":
        yield _source(package.manifest, artifact)
        return
    try:
        model = onnx.load(package.artifact_path(artifact.name))
    except DecodeError as error:
        yield judged("graph", artifact.name, False, f"{artifact.path} is no ONNX graph ({error})")
        return
    yield _tensors(package.manifest, artifact, model)
    yield _classes(package.manifest, artifact, model)
    yield from _metadata(package.manifest, artifact, model)
    yield _opset(artifact, model)


def _source(manifest: Manifest, plan: Artifact) -> Check:
    """Whether the graph that a plan was built from is the one beside it."""
    source, due = plan.details.get("graph"), plan.details.get("graph_sha256")
    packed = next((artifact for artifact in manifest.artifacts if artifact.name == source), None)
    if packed is None:
        said = f"a plan cannot be read back, and {source or 'its graph'} is not in the package"
        return not_run("graph", plan.name, said)
    return judged(
        "graph",
        plan.name,
        packed.sha256 == due,
        f"built from {str(due)[:16]}, {source} is {packed.sha256[:16]}",
    )


def _tensors(manifest: Manifest, artifact: Artifact, model: onnx.ModelProto) -> Check:
    for role, specs, values in (
        ("inputs", manifest.inputs, model.graph.input),
        ("outputs", manifest.outputs, model.graph.output),
    ):
        promised = [_in_words(spec) for spec in specs]
        found = [_in_words(_spec_of(value)) for value in values]
        if promised != found:
            return judged(
                "tensors",
                artifact.name,
                False,
                f"the graph's {role} are {'; '.join(found)}, the manifest's {'; '.join(promised)}",
            )
    specs = (*manifest.inputs, *manifest.outputs)
    return judged("tensors", artifact.name, True, "; ".join(_in_words(spec) for spec in specs))


def _classes(manifest: Manifest, artifact: Artifact, model: onnx.ModelProto) -> Check:
    """How many channels the mask's argmax really reads, on a blank image, against the number of names."""
    sides = [side if isinstance(side, int) else ANY_SIDE for side in manifest.inputs[0].shape[1:3]]
    try:
        with open_probe(model) as (runtime, logits):
            found = runtime.run(np.zeros((1, *sides, 3), np.uint8))[logits].shape[1]
    except SegError as error:
        return judged("classes", artifact.name, False, str(error))
    due = manifest.labels.num_classes
    return judged(
        "classes", artifact.name, found == due, f"{found} in the graph, {due} names in the manifest"
    )


def _metadata(manifest: Manifest, artifact: Artifact, model: onnx.ModelProto) -> Iterator[Check]:
    """What a reader of the bare file is told, against the manifest."""
    written = {entry.key: entry.value for entry in model.metadata_props}
    due: dict[str, Any] = {
        "classes": list(manifest.labels.names),
        "palette": [list(colour) for colour in manifest.labels.palette],
        "normalisation": manifest.normalisation.model_dump(mode="json"),
    }
    for key, value in due.items():
        try:
            found = json.loads(written.get(key, "null"))
        except json.JSONDecodeError:
            found = written[key]
        is_equal = found == value
        detail = "as in the manifest" if is_equal else f"the file says {found}, the manifest {value}"
        yield judged(f"metadata {key}", artifact.name, is_equal, detail)


def _opset(artifact: Artifact, model: onnx.ModelProto) -> Check:
    found = next((entry.version for entry in model.opset_import if not entry.domain), None)
    due = artifact.details.get("opset")
    return judged("opset", artifact.name, found == due, f"{found} in the graph, {due} in the manifest")


def _spec_of(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    shape = tuple(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
    return TensorSpec.model_construct(name=value.name, dtype=dtype, shape=shape)


def _in_words(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype} ({', '.join(map(str, spec.shape))})"
