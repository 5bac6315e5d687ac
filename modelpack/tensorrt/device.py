"""The few things that running a plan asks of a GPU: memory, copies, streams, captured graphs and clocks."""

from collections.abc import Hashable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import SegError


class DeviceError(SegError):
    """The device refused: it has no memory left, or something before this broke it."""


class Device(Protocol):
    """One GPU. Addresses are plain integers; streams, graphs and events are what `new_...` gave.

    Everything that takes a stream returns before it is done; `wait` waits. Raises DeviceError.
    """

    name: str
    """`cuda:0`."""
    compute_capability: tuple[int, int]
    """(major, minor)."""

    def allocate(self, size_bytes: int) -> int:
        """Address of that much memory on the device."""

    def free(self, address: int) -> None: ...

    def allocate_pinned(self, size_bytes: int) -> NDArray[np.uint8]:
        """Page-locked memory of the host, (size_bytes,): copies from and to it need no further buffer."""

    def free_pinned(self, host: NDArray[np.uint8]) -> None: ...

    def new_stream(self) -> int: ...

    def free_stream(self, stream: int) -> None: ...

    def wait(self, stream: int) -> None:
        """Until everything on the stream is done."""

    def copy_in(self, address: int, host: NDArray[np.uint8], stream: int) -> None:
        """All of `host` to the device."""

    def copy_out(self, host: NDArray[np.uint8], address: int, stream: int) -> None:
        """As much as `host` holds from the device."""

    def begin_capture(self, stream: int) -> None:
        """What is put on the stream from now on is noted and not done."""

    def end_capture(self, stream: int) -> Hashable:
        """A graph of what was noted."""

    def launch(self, graph: Hashable, stream: int) -> None: ...

    def free_graph(self, graph: Hashable) -> None: ...

    def new_event(self) -> Hashable: ...

    def free_event(self, event: Hashable) -> None: ...

    def record(self, event: Hashable, stream: int) -> None:
        """Note the time at which the stream gets here."""

    def elapsed_ms(self, begin: Hashable, end: Hashable) -> float:
        """Between two recorded events of a stream that was waited for."""
