"""Memory of the host that is kept from call to call, for what goes to a device and comes back."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class HostMemory(Protocol):
    """Where it comes from."""

    def allocate(self, size_bytes: int) -> NDArray[np.uint8]:
        """(size_bytes,), whatever is in it."""

    def free(self, host: NDArray[np.uint8]) -> None:
        """Give back what `allocate` gave; nobody may use it any more."""


class PlainMemory:
    """numpy's own."""

    def allocate(self, size_bytes: int) -> NDArray[np.uint8]:
        return np.empty(size_bytes, np.uint8)

    def free(self, host: NDArray[np.uint8]) -> None:
        pass


class HostBuffer:
    """Grows to the largest array that it was asked for."""

    def __init__(self, memory: HostMemory) -> None:
        self._memory = memory
        self._host: NDArray[np.uint8] | None = None

    def view(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The first bytes as an array; what an earlier call gave may no longer be used."""
        size_bytes = dtype.itemsize * int(np.prod(shape))
        if self._host is None or self._host.nbytes < size_bytes:
            self.free()
            self._host = self._memory.allocate(size_bytes)
        return self._host[:size_bytes].view(dtype).reshape(shape)

    def free(self) -> None:
        if self._host is not None:
            self._memory.free(self._host)
            self._host = None
