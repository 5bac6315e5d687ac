"""A model in the protocol's words: its tensors, its platform, its batches."""

from typing import Any

from modelpack.manifest import Manifest, TensorSpec
from serve.deployment import Deployment

DATATYPES = {"uint8": "UINT8", "float16": "FP16", "float32": "FP32"}
"""Type of a manifest's tensor to the protocol's name."""
PLATFORMS = {
    "onnxruntime": ("onnxruntime_onnx", "onnxruntime"),
    "openvino": ("openvino", "openvino"),
    "openvino-bf16": ("openvino", "openvino"),
    "tensorrt": ("tensorrt_plan", "tensorrt"),
}
"""Name of a runtime to (platform, backend)."""
ENCODED_IMAGE = "encoded_image"
"""Instead of the graph's own input: JPEG, PNG or WebP files, BYTES [B, 1], of any size."""
DYNAMIC = -1


def image_input(manifest: Manifest) -> TensorSpec:
    """The graph's only input: uint8 RGB (N, H, W, 3)."""
    return manifest.inputs[0]


def fixed_batch(manifest: Manifest) -> int | None:
    """Images that the graph always takes at once; None: any number."""
    batch = image_input(manifest).shape[0]
    return batch if isinstance(batch, int) else None


def metadata(deployment: Deployment, versions: list[str]) -> dict[str, Any]:
    """Shapes include the batch; -1 is any size.

    The two inputs are alternatives. Outputs are stated at the model's size, which is what is answered unless
    the request's parameter `size` is `original`.
    """
    manifest = deployment.model.manifest
    tensors = {
        "inputs": [_tensor(image_input(manifest)), _encoded(fixed_batch(manifest))],
        "outputs": [_tensor(spec) for spec in manifest.outputs],
    }
    platform, _ = PLATFORMS[deployment.model.runtime.name]
    return {"name": deployment.name, "versions": versions, "platform": platform, **tensors}


def config(deployment: Deployment, max_batch: int) -> dict[str, Any]:
    """Triton's model configuration: dims leave the batch out unless the graph fixes it (max_batch_size 0)."""
    manifest = deployment.model.manifest
    platform, backend = PLATFORMS[deployment.model.runtime.name]
    batch = fixed_batch(manifest)
    first = 1 if batch is None else 0

    def entry(tensor: dict[str, Any], **more: Any) -> dict[str, Any]:
        data_type = "STRING" if tensor["datatype"] == "BYTES" else tensor["datatype"]
        dims = tensor["shape"][first:]
        return {"name": tensor["name"], "data_type": f"TYPE_{data_type}", "dims": dims, **more}

    inputs = (_tensor(image_input(manifest)), _encoded(batch))
    return {
        "name": deployment.name,
        "platform": platform,
        "backend": backend,
        "max_batch_size": max_batch if batch is None else 0,
        **_joining(deployment),
        "input": [entry(tensor, optional=True) for tensor in inputs],
        "output": [entry(_tensor(spec)) for spec in manifest.outputs],
        "parameters": {
            "version": {"string_value": deployment.version},
            "classes": {"string_value": ",".join(manifest.labels.names)},
            "size": {"string_value": "model|original"},
        },
    }


def _joining(deployment: Deployment) -> dict[str, Any]:
    """Triton's `dynamic_batching`, where requests are joined."""
    if deployment.line is None:
        return {}
    limits = deployment.line.describe()
    return {
        "dynamic_batching": {
            "preferred_batch_size": [*limits["preferred_sizes"], limits["max_images"]],
            "max_queue_delay_microseconds": int(limits["max_delay_ms"] * 1000),
        }
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    shape = [DYNAMIC if isinstance(size, str) else size for size in spec.shape]
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": shape}


def _encoded(batch: int | None) -> dict[str, Any]:
    return {"name": ENCODED_IMAGE, "datatype": "BYTES", "shape": [DYNAMIC if batch is None else batch, 1]}
