"""Waking up on time: asyncio's own timers round up to whole milliseconds, a kernel timer does not."""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_NS_PER_S = 1_000_000_000


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Timer:
    """One alarm at a time of `time.monotonic_ns`, late by tens of microseconds. Use as a context manager.

    Linux: a timerfd in the running event loop. Elsewhere asyncio's timers, and the generator's lag shows it.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._callback: Callable[[], None] | None = None
        self._fallback: asyncio.TimerHandle | None = None
        self._descriptor = -1
        if hasattr(self._libc, "timerfd_create"):
            self._descriptor = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
            if self._descriptor < 0:
                raise OSError(ctypes.get_errno(), "timerfd_create failed")
            self._loop.add_reader(self._descriptor, self._read_and_ring)

    def arm(self, when_ns: int, callback: Callable[[], None]) -> None:
        """Call `callback` at `when_ns`, at once where that is over; what was armed before is forgotten."""
        self._callback = callback
        if self._descriptor >= 0:
            when = _Timespec(*divmod(max(when_ns, 1), _NS_PER_S))
            spec = _TimerSpec(_Timespec(0, 0), when)
            self._libc.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(spec), None)
            return
        if self._fallback is not None:
            self._fallback.cancel()
        delay_s = max(when_ns - time.monotonic_ns(), 0) / _NS_PER_S
        self._fallback = self._loop.call_later(delay_s, self._ring)

    async def wait_until(self, when_ns: int) -> None:
        """Return at `when_ns`, or after one turn of the event loop where that is over."""
        if when_ns <= time.monotonic_ns():
            await asyncio.sleep(0)
            return
        due = self._loop.create_future()
        self.arm(when_ns, lambda: None if due.done() else due.set_result(None))
        await due

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _read_and_ring(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:  # armed anew between the wake-up and this call
            return
        self._ring()

    def _ring(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()
