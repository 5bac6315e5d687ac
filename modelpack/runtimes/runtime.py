"""What every runtime is: a loaded graph that turns pixels into named outputs."""

from typing import Any, Protocol

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
