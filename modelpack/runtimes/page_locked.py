"""Page-locked memory of the host, by the CUDA driver alone: copies from and to it go straight to the GPU."""

import ctypes
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelpack.runtimes.host_buffer import HostMemory, PlainMemory

log = logging.getLogger(__name__)

_DEVICE = 0
"""`CUDA_VISIBLE_DEVICES` chooses another."""
_PORTABLE = 1
"""CU_MEMHOSTALLOC_PORTABLE: page-locked for every context."""


class PageLockedMemory:
    """In the device's primary context, which CUDA's runtime and ONNX Runtime use too.

    Where the driver gives none (a limit on locked memory), plain memory takes its place: everything works,
    and copies are slower.
    """

    def __init__(self, driver: Any) -> None:
        """driver: libcuda, loaded. Raises OSError where there is no device."""
        self._driver = driver
        self._locked: set[int] = set()
        device, self._context = ctypes.c_int(), ctypes.c_void_p()
        for status in (
            driver.cuInit(0),
            driver.cuDeviceGet(ctypes.byref(device), _DEVICE),
            driver.cuDevicePrimaryCtxRetain(ctypes.byref(self._context), device),
        ):
            if status:
                raise OSError(f"the CUDA driver gave error {status}")

    def allocate(self, size_bytes: int) -> NDArray[np.uint8]:
        address = ctypes.c_void_p()
        with self._current_context():
            status = self._driver.cuMemHostAlloc(
                ctypes.byref(address), ctypes.c_size_t(size_bytes), ctypes.c_uint(_PORTABLE)
            )
        if status or address.value is None:
            log.warning("%d bytes are not page-locked: the CUDA driver gave error %d", size_bytes, status)
            return PlainMemory().allocate(size_bytes)
        self._locked.add(address.value)
        return np.ctypeslib.as_array((ctypes.c_uint8 * size_bytes).from_address(address.value))

    def free(self, host: NDArray[np.uint8]) -> None:
        address = host.ctypes.data
        if address in self._locked:
            self._locked.remove(address)
            with self._current_context():
                self._driver.cuMemFreeHost(ctypes.c_void_p(address))

    @contextmanager
    def _current_context(self) -> Iterator[None]:
        """The calling thread may have none, or another library's."""
        self._driver.cuCtxPushCurrent_v2(self._context)
        try:
            yield
        finally:
            self._driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


def page_locked_memory() -> HostMemory:
    """Page-locked where that is to be had, else plain; the log says why."""
    try:
        return PageLockedMemory(ctypes.CDLL("libcuda.so.1"))
    except OSError as error:
        log.warning("memory is not page-locked, so copies to the GPU are slower: %s", error)
        return PlainMemory()
