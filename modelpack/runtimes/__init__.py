"""The table of runtimes. A new one is a file beside this and a line below; values are imported on use."""

from typing import Literal

from modelpack.package import ModelPackage
from modelpack.runtimes.runtime import Runtime
from modelpack.tables import lookup, resolve

RUNTIMES: dict[str, str] = {
    "onnxruntime": "modelpack.runtimes.onnxruntime:OnnxRuntime",
}
"""Name -> class, called with (model path, device=..., threads=...)."""


def open_runtime(
    package: ModelPackage,
    *,
    artifact: str | None = None,
    runtime: str = "onnxruntime",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: int = 0,
) -> Runtime:
    """Load one artifact (None: the first) of `package`.

    `threads` are those of one call on the CPU, 0 means the runtime's choice. Raises UnknownNameError for a
    name that is in no table, RuntimeUnavailableError for a runtime or device that this machine lacks,
    PackageError for a file that does not load.
    """
    target = lookup(RUNTIMES, "runtime", runtime)
    opened: Runtime = resolve(target)(package.artifact_path(artifact), device=device, threads=threads)
    return opened
