"""What every runtime is: a loaded graph that turns pixels into named outputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class Runtime(Protocol):
    """One graph on one device. `run` may be called from several threads at once."""

    name: str
    """Key in `RUNTIMES`."""
    device: str
    """`cpu` or `cuda:0`: where the graph really runs."""
    provider: str
    """What computes there, in the runtime's own words."""

    def run(self, images_nhwc_u8: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """All outputs by name, batch first, for RGB images. Raises ShapeError for what does not fit."""

    def describe(self) -> dict[str, Any]:
        """Versions, provider and threads, ready for a report."""

    def close(self) -> None:
        """Free the device. `run` must not be called after it."""


class RuntimeClass(Protocol):
    """What `RUNTIMES` leads to: a runtime's class, which is asked before anything is loaded."""

    artifact_kinds: frozenset[str]
    """Which `Artifact.kind` it opens."""

    def obstacle(self, model_path: Path, device: Literal["cpu", "cuda"]) -> str | None:
        """Why that file cannot run on that device here, read from the names at most; None if nobody knows."""

    def __call__(
        self, model_path: Path, *, device: Literal["auto", "cpu", "cuda"], threads: int
    ) -> "Runtime":
        """Load it. Raises RuntimeUnavailableError for the device, PackageError for the file."""


@dataclass(frozen=True)
class StageTimes:
    """Where one call spent its time, in milliseconds; None where the runtime cannot tell.

    The names are those of `trtexec`.
    """

    enqueue_ms: float | None
    """Host: until all work of the call was handed to the device."""
    h2d_ms: float | None
    """Device: copying the images in."""
    compute_ms: float | None
    """Device: the graph alone."""
    d2h_ms: float | None
    """Device: copying the outputs back."""
    host_ms: float
    """Wall clock of the whole call as its caller sees it."""


@runtime_checkable
class TimedRuntime(Protocol):
    """A runtime that can say where a call spent its time. Optional: `isinstance` finds out."""

    def run_timed(self, images_nhwc_u8: NDArray[np.uint8]) -> tuple[dict[str, NDArray[Any]], StageTimes]:
        """What `run` gives, and the stages of this very call. Errors are those of `run`."""


@runtime_checkable
class GatheringRuntime(Protocol):
    """A runtime that puts arrays together where it needs them. Optional: `isinstance` finds out."""

    def run_gathered(self, images_nhwc_u8: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[Any]]:
        """What `run` gives for the arrays one after the other as one batch; they have one image size.

        They are copied once, into memory that is kept for the next call; on CUDA that memory is page-locked.
        """
