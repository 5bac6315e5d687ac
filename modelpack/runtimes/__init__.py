"""The table of runtimes. A new one is a file beside this and a line below; values are imported on use."""

import logging

from modelpack.errors import RuntimeUnavailableError
from modelpack.package import ModelPackage
from modelpack.runtimes import choice as _choice
from modelpack.runtimes.choice import Choice, Wanted
from modelpack.runtimes.runtime import Runtime
from modelpack.tables import resolve

log = logging.getLogger(__name__)

RUNTIMES: dict[str, str] = {
    "onnxruntime": "modelpack.runtimes.onnxruntime:OnnxRuntime",
    "openvino": "modelpack.runtimes.openvino:OpenVino",
    "openvino-bf16": "modelpack.runtimes.openvino:OpenVinoBf16",
    "tensorrt": "modelpack.runtimes.tensorrt:TensorRTRuntime",
}
"""Name -> class (`RuntimeClass`), called with (model path, device=..., threads=...)."""


def choose(
    package: ModelPackage,
    *,
    device: Wanted = "auto",
    artifact: str | None = None,
    runtime: str | None = None,
) -> Choice:
    """See `modelpack.runtimes.choice.choose`."""
    return _choice.choose(package, RUNTIMES, device=device, artifact=artifact, runtime=runtime)


def open_best(
    package: ModelPackage,
    *,
    artifact: str | None = None,
    runtime: str | None = None,
    device: Wanted = "auto",
    threads: int = 0,
) -> tuple[Choice, Runtime]:
    """Load what `choose` picks; the log says which and why.

    `threads` are those of one call on the CPU, 0 means the runtime's choice. Where the best turns out not to
    run after all, the next best is loaded. Raises what `choose` raises, RuntimeUnavailableError for a runtime
    or device that this machine lacks, PackageError for a file that does not load.
    """
    failed: dict[tuple[str, str, str], str] = {}
    while True:
        chosen = _choice.choose(
            package, RUNTIMES, device=device, artifact=artifact, runtime=runtime, failed=failed
        )
        try:
            opened = _open(package, chosen, threads)
        except RuntimeUnavailableError as error:
            if artifact is not None and runtime is not None:
                raise
            failed[chosen.artifact, chosen.runtime, chosen.device] = str(error).rstrip(".")
        else:
            log.info("%s: %s", package.manifest.name, chosen)
            return chosen, opened


def open_runtime(
    package: ModelPackage,
    *,
    artifact: str | None = None,
    runtime: str | None = None,
    device: Wanted = "auto",
    threads: int = 0,
) -> Runtime:
    """`open_best`, for those who do not ask what was chosen."""
    return open_best(package, artifact=artifact, runtime=runtime, device=device, threads=threads)[1]


def _open(package: ModelPackage, chosen: Choice, threads: int) -> Runtime:
    opened: Runtime = resolve(RUNTIMES[chosen.runtime])(
        package.artifact_path(chosen.artifact), device=chosen.device, threads=threads
    )
    return opened
