"""A graph of dynamic size must be right away from the size it was traced with. ONNX Runtime decides."""

import numpy as np
import onnx

from export.artifact_runtime import open_probe
from export.behaviour import OTHER_SIZES
from export.errors import ExportError
from export.onnx_export import DYNAMIC_TRACE_SIZE
from export.reference import Reference
from modelpack.errors import SegError

MAX_LOGIT_ERROR = 1e-3
"""As a share of the reference's largest absolute logit. A frozen pooling window is off by tenths."""
_CAUSE = "The network computes sizes that the tracer fixes (adaptive pooling does)."
_WAY_OUT = "Set a fixed size: export.size=[height, width]."


def check_other_sizes(model: onnx.ModelProto, reference: Reference) -> None:
    """Compare graph and network on noise at `OTHER_SIZES`; raises ExportError for the first that is wrong."""
    noise = np.random.default_rng(0)
    with open_probe(model) as (runtime, logits_name):
        for height, width in OTHER_SIZES:
            images = noise.integers(0, 256, (2, height, width, 3), np.uint8)
            expected = reference.logits(images)
            where = (
                f"exported with dynamic size, the graph is wrong at {height}x{width} (traced at {_traced()})"
            )
            try:
                found = runtime.run(images)[logits_name]
            except SegError as error:
                raise ExportError(f"{where}: {error.args[0].rstrip('.')}. {_CAUSE} {_WAY_OUT}") from error
            if found.shape != expected.shape:
                raise ExportError(f"{where}: logits are {found.shape}, must be {expected.shape}. {_WAY_OUT}")
            error_share = float(np.abs(found - expected).max() / np.abs(expected).max())
            if not error_share <= MAX_LOGIT_ERROR:
                raise ExportError(
                    f"{where}: logits are off by {error_share:.1e} of the largest, "
                    f"allowed is {MAX_LOGIT_ERROR:.0e}. "
                    f"{_CAUSE} {_WAY_OUT}"
                )


def _traced() -> str:
    return "x".join(map(str, DYNAMIC_TRACE_SIZE))
