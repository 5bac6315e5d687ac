"""The model of a `-python` folder: ONNX Runtime behind Triton's python backend, on the CPU.

For a Triton without the onnxruntime backend. Needs onnxruntime and numpy in the Python that Triton starts.
"""

import json
from pathlib import Path
from typing import Any

import onnxruntime as ort
import triton_python_backend_utils as triton


class TritonPythonModel:
    """The interface that Triton looks for."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph beside this file."""
        config = json.loads(args["model_config"])
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]
        path = Path(args["model_repository"], args["model_version"], "model.onnx")
        self.session: Any = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response for each request; an error answers the request that caused it."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        feed = {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
        try:
            found = self.session.run(self.outputs, feed)
        except Exception as error:  # the edge of the process: whatever it is, the client is told
            return triton.InferenceResponse(error=triton.TritonError(str(error)))
        tensors = [triton.Tensor(name, value) for name, value in zip(self.outputs, found, strict=True)]
        return triton.InferenceResponse(output_tensors=tensors)
