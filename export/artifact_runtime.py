"""Run an artifact that is not in a package yet, as it ships and with its logits laid open."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx

from export.half_emulation import emulate_float16, has_float16
from export.onnx_edges import with_logits_output
from export.precision.artifact import Kind
from export.precision.onnx_session import executed_types
from export.precision.proof import Precision
from modelpack.errors import RuntimeUnavailableError
from modelpack.runtimes import RUNTIMES
from modelpack.runtimes.choice import DEFAULT_RUNTIME, RULES
from modelpack.runtimes.onnxruntime import OnnxRuntime
from modelpack.runtimes.runtime import Runtime, RuntimeClass
from modelpack.tables import lookup, resolve

OPENVINO_TYPES = {"f32": "fp32", "f16": "fp16", "i8": "int8", "u8": "int8"}
"""OpenVINO's names for types, where they differ from ours."""


@dataclass(frozen=True)
class OpenArtifact:
    """One artifact in all the ways in which it is asked."""

    shipped: Runtime
    """The file itself."""
    judged: Runtime
    """What its masks are taken from: the file itself, or its emulation where the CPU lacks float16."""
    probe: tuple[Runtime, str] | None
    """See `open_probe`; None for a plan, which cannot be laid open."""

    is_emulated: bool

    def describe(self) -> dict[str, Any]:
        """The runtime that gives the masks, in its own words."""
        return {**self.judged.describe(), "emulates_float16": self.is_emulated}

    def executed(self, path: Path, device: Literal["cpu", "cuda"]) -> dict[str, int] | None:
        """Type -> products that the runtime of the file at `path` computes in it; None for a plan."""
        told: dict[str, int] | None = self.shipped.describe().get("computes")
        if told is not None:
            types: Counter[str] = Counter()
            for name, count in told.items():
                types[OPENVINO_TYPES.get(name, name)] += count
            return dict(types)
        return None if self.probe is None else executed_types(path, device)


@contextmanager
def open_all(
    path: Path, kind: Kind, precision: Precision, device: Literal["cpu", "cuda"]
) -> Iterator[OpenArtifact]:
    """In the runtime that would serve it here (see `modelpack.runtimes.choice`), of those that are installed.

    Raises RuntimeUnavailableError where this machine cannot run the artifact, PackageError for a bad file.
    """
    with ExitStack() as stack:
        if kind != "onnx":
            plan = stack.enter_context(_open_file(path, "cuda", DEFAULT_RUNTIME[kind]))
            yield OpenArtifact(plan, plan, None, is_emulated=False)
            return
        shipped = stack.enter_context(_open_file(path, device, _serving(path, precision, device)))
        model = onnx.load(path)
        is_emulated = device == "cpu" and has_float16(model)
        judged = stack.enter_context(_open_graph(model, device)) if is_emulated else shipped
        yield OpenArtifact(shipped, judged, stack.enter_context(open_probe(model, device)), is_emulated)


@contextmanager
def open_probe(
    model: onnx.ModelProto, device: Literal["cpu", "cuda"] = "cpu"
) -> Iterator[tuple[Runtime, str]]:
    """A runtime for the same graph with one more output, the logits, and that output's name."""
    probe, logits_name = with_logits_output(model)
    with _open_graph(probe, device) as runtime:
        yield runtime, logits_name


@contextmanager
def open_artifact(path: Path, kind: Kind, device: Literal["cpu", "cuda"]) -> Iterator[Runtime]:
    """A runtime for the file itself; on a CPU, for what hardware with float16 would make of it.

    A plan runs on CUDA whatever the device that the rest is compared on. Raises RuntimeUnavailableError where
    this machine cannot run it.
    """
    if kind == "onnx" and device == "cpu" and has_float16(model := onnx.load(path)):
        with _open_graph(model, device) as emulated:
            yield emulated
        return
    with _open_file(path, "cuda" if kind == "tensorrt" else device, DEFAULT_RUNTIME[kind]) as runtime:
        yield runtime


@contextmanager
def _open_file(path: Path, device: Literal["cpu", "cuda"], name: str) -> Iterator[Runtime]:
    runtime: Runtime = resolve(lookup(RUNTIMES, "runtime", name))(path, device=device)
    try:
        yield runtime
    finally:
        runtime.close()


@contextmanager
def _open_graph(model: onnx.ModelProto, device: Literal["cpu", "cuda"]) -> Iterator[Runtime]:
    is_emulated = device == "cpu" and has_float16(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "graph.onnx")
        onnx.save(emulate_float16(model) if is_emulated else model, path)
        runtime = OnnxRuntime(path, device=device)
        try:
            yield runtime
        finally:
            runtime.close()


def _serving(path: Path, precision: Precision, device: Literal["cpu", "cuda"]) -> str:
    """The runtime in which a package's ONNX graph of that precision would be served on this device."""
    for rule in RULES:
        if (rule.device, rule.kind, rule.precision) == (device, "onnx", precision):
            for name in rule.runtimes:
                if _can_open(name, path, device):
                    return name
    return DEFAULT_RUNTIME["onnx"]


def _can_open(name: str, path: Path, device: Literal["cpu", "cuda"]) -> bool:
    try:
        runtime_class: RuntimeClass = resolve(lookup(RUNTIMES, "runtime", name))
    except RuntimeUnavailableError:
        return False
    return runtime_class.obstacle(path, device) is None
