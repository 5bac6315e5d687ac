"""A thread of low priority for what is computed beside the answers. When it is busy, images pass it by."""

import logging
import os
import random
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serve.deployment import Deployment

logger = logging.getLogger(__name__)

WAITING = 4
"""Images that may wait for the thread, the one in work included."""
WAITING_BYTES = 64 << 20
"""Most bytes of decoded pixels that wait; a single image may be larger."""
NICENESS = 10
"""Added to the thread's own (Linux): beside answers it gets about a tenth of a contended core. Not more: now
and then it holds the interpreter's lock for a moment, and answers would wait for it to get its turn."""

Fate = Literal["compared", "failed", "dropped"]


@dataclass(frozen=True)
class Frame:
    """An answered image."""

    image_hwc: NDArray[np.uint8]
    """RGB: as it was uploaded; of `/v2` as the graph took it."""
    mask_hw: NDArray[np.uint8]
    """The answer at the size of the model's input: class indices."""
    deployment: Deployment
    """What answered."""
    request_id: str


class Mirror:
    """Hands a share of the frames to `look`, one after the other, in a thread of its own.

    What `look` raises is logged and counted: no answer depends on it.
    """

    def __init__(
        self, name: str, share: float, look: Callable[[Frame], None], count: Callable[[Frame, Fate], None]
    ) -> None:
        self._name = name
        self._share = share
        self._look = look
        self._count = count
        self._lock = threading.Lock()
        self._waiting = 0
        self._waiting_bytes = 0
        self.pool = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=be_nice)
        """The thread itself, for what has to be made in it."""

    def offer(self, frame: Frame) -> None:
        """Take the frame, or not; from any thread, in microseconds."""
        if random.random() >= self._share:
            return
        size_bytes = frame.image_hwc.nbytes
        with self._lock:
            is_free = self._waiting == 0
            fits = self._waiting < WAITING and self._waiting_bytes + size_bytes <= WAITING_BYTES
            if is_free or fits:
                self._waiting += 1
                self._waiting_bytes += size_bytes
                try:
                    self.pool.submit(self._take, frame)
                except RuntimeError:  # closed in the meantime
                    return
                return
        self._count(frame, "dropped")

    def close(self) -> None:
        """Wait for the frame in work, drop what waits."""
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _take(self, frame: Frame) -> None:
        try:
            self._look(frame)
        except Exception:
            logger.exception("%s failed on the image of request %s", self._name, frame.request_id)
            self._count(frame, "failed")
        else:
            self._count(frame, "compared")
        finally:
            with self._lock:
                self._waiting -= 1
                self._waiting_bytes -= frame.image_hwc.nbytes


def be_nice() -> None:
    """Lower the priority of the calling thread, and of threads that it will start."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
