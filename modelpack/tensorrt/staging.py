"""One tensor's memory on both sides: pinned on the host, and on the device."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelpack.tensorrt.device import Device


class Staging:
    """Grows to the largest tensor that it was asked for."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._host: NDArray[np.uint8] | None = None
        self.address = 0
        self.size_bytes = 0

    def reserve(self, size_bytes: int) -> bool:
        """Hold at least that much; True when the memory moved, so that nobody may use the old address."""
        if size_bytes <= self.size_bytes:
            return False
        self.free()
        self._host = self._device.allocate_pinned(size_bytes)
        self.address = self._device.allocate(size_bytes)
        self.size_bytes = size_bytes
        return True

    def view(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The host's side as an array; only as long as nothing larger is reserved."""
        return self.bytes(dtype.itemsize * int(np.prod(shape))).view(dtype).reshape(shape)

    def bytes(self, size_bytes: int) -> NDArray[np.uint8]:
        """The first bytes of the host's side."""
        assert self._host is not None
        return self._host[:size_bytes]

    def free(self) -> None:
        if self._host is not None:
            self._device.free_pinned(self._host)
            self._host = None
        if self.address:
            self._device.free(self.address)
            self.address = 0
        self.size_bytes = 0
