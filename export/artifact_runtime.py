"""Run an artifact that is not in a package yet, as it ships and with its logits laid open."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import onnx

from export.onnx_edges import with_logits_output
from modelpack.runtimes.onnxruntime import OnnxRuntime
from modelpack.runtimes.runtime import Runtime


@contextmanager
def open_probe(
    model: onnx.ModelProto, device: Literal["cpu", "cuda"] = "cpu"
) -> Iterator[tuple[Runtime, str]]:
    """A runtime for the same graph with one more output, the logits, and that output's name."""
    probe, logits_name = with_logits_output(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "probe.onnx")
        onnx.save(probe, path)
        runtime = OnnxRuntime(path, device=device)
        try:
            yield runtime, logits_name
        finally:
            runtime.close()


@contextmanager
def open_artifact(path: Path, device: Literal["cpu", "cuda"]) -> Iterator[Runtime]:
    """A runtime for the file itself."""
    runtime = OnnxRuntime(path, device=device)
    try:
        yield runtime
    finally:
        runtime.close()
