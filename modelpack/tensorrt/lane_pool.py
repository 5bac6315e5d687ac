"""As many lanes as calls may be on the device at once; made when they are first needed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modelpack.tensorrt.lane import Lane


class LanePool:
    """Lends each lane to one call at a time; further calls wait."""

    def __init__(self, make: Callable[[], Lane], most: int) -> None:
        self.most = most
        self._make = make
        self._free = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[Lane] = []
        self.lanes: list[Lane] = []
        """All that were made."""

    @contextmanager
    def borrow(self) -> Iterator[Lane]:
        with self._free:
            with self._lock:
                lane = self._idle.pop() if self._idle else None
            if lane is None:
                lane = self._make()
                with self._lock:
                    self.lanes.append(lane)
            try:
                yield lane
            finally:
                with self._lock:
                    self._idle.append(lane)

    def close(self) -> None:
        """Free every lane. No call may be under way."""
        with self._lock:
            lanes, self.lanes = self.lanes, []
            self._idle.clear()
        for lane in lanes:
            lane.close()
