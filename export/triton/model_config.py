"""`config.pbtxt`: what Triton is told of one model, in protobuf's text form."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from modelpack.manifest import TensorSpec

Backend = Literal["onnxruntime", "tensorrt", "python"]

_TYPES = {"uint8": "TYPE_UINT8", "float16": "TYPE_FP16", "float32": "TYPE_FP32"}
_ANY_SIZE = -1


@dataclass(frozen=True)
class ModelConfig:
    """One model of the repository. All tensors have a batch dimension in front that Triton does not list."""

    name: str
    backend: Backend
    file: str
    """In the version's folder."""
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: Mapping[str, str]
    """Facts for people and clients; Triton hands them on."""
    on_cpu: bool = False
    """Keep it off GPUs, whatever Triton finds."""

    def render(self) -> str:
        """The file's text."""
        lines = [
            f"name: {_quoted(self.name)}",
            f"backend: {_quoted(self.backend)}",
            f"default_model_filename: {_quoted(self.file)}",
            f"max_batch_size: {self.max_batch_size}",
            *_tensors("input", self.inputs),
            *_tensors("output", self.outputs),
            # Requests wait for no others, but those that queue up are answered together.
            "dynamic_batching { }",
        ]
        if self.on_cpu:
            lines.append("instance_group [ { kind: KIND_CPU } ]")
        for key, value in self.parameters.items():
            entry = f"key: {_quoted(key)} value {{ string_value: {_quoted(value)} }}"
            lines.append(f"parameters {{ {entry} }}")
        return "\n".join(lines) + "\n"


def _tensors(role: str, specs: Iterable[TensorSpec]) -> Iterable[str]:
    for spec in specs:
        sizes = [size if isinstance(size, int) else _ANY_SIZE for size in spec.shape[1:]]
        yield (
            f"{role} [ {{ name: {_quoted(spec.name)} data_type: {_TYPES[spec.dtype]} "
            f"dims: [ {', '.join(map(str, sizes))} ] }} ]"
        )


def _quoted(text: str) -> str:
    """JSON's escapes are a subset of protobuf's for ASCII; other characters stay as they are."""
    return json.dumps(text, ensure_ascii=False)
