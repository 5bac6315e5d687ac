"""How large the values of a graph's tensors get on real images."""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from distill.quantisation.histogram import Histogram
from export.errors import ExportError
from export.graph import IMAGE
from export.progress import track

_LOG_ERRORS_ONLY = 3


def measure_activations(
    model: onnx.ModelProto, tensors: Iterable[str], images: Sequence[NDArray[np.uint8]]
) -> dict[str, Histogram]:
    """A histogram of absolute values for each of the float tensors that are named.

    images: each (N, H, W, 3), of any sizes that the graph takes. One image at a time is in memory, with these
    tensors. Raises ExportError for a tensor that is NaN or infinite somewhere, and without images.
    """
    if not len(images):
        raise ExportError("there are no images to calibrate on: the training split is empty.")
    names = sorted(set(tensors))
    session = _open(model, names)
    histograms = {name: Histogram() for name in names}
    for place in track(range(len(images)), "calibrating"):
        for name, values in zip(names, session.run(names, {IMAGE: images[place]}), strict=True):
            if not np.isfinite(values).all():
                raise ExportError(
                    f"tensor {name} is NaN or infinite on a training image: it has no range for int8. "
                    "Train again with a lower learning rate or in fp32."
                )
            histograms[name].add(torch.from_numpy(values))
    return histograms


def _open(model: onnx.ModelProto, names: Sequence[str]) -> ort.InferenceSession:
    """A session whose graph also gives these tensors."""
    probe = onnx.ModelProto.FromString(model.SerializeToString())
    outputs = {value.name for value in probe.graph.output}
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in outputs)
    options = ort.SessionOptions()
    options.log_severity_level = _LOG_ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(probe.SerializeToString(), options, ["CPUExecutionProvider"])
