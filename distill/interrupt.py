"""Turn SIGINT and SIGTERM into a flag that the training loop reads between two steps."""

import logging
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from modelpack.errors import SegError

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterruptedError(SegError):
    """The run was asked to stop; its state is saved."""


class Interrupt:
    """`requested` is set by the first signal; a second one has its usual effect.

    Outside the main thread, where Python delivers no signals, it is never set.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._set) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _set(self, number: int, frame: FrameType | None) -> None:
        log.warning("%s: saving after this step; a second signal stops at once", signal.Signals(number).name)
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)
