"""A device in main memory that does nothing before it is waited for, as a real one may."""

import itertools
import threading
from collections.abc import Callable

import numpy as np

from modelpack.tensorrt.device import DeviceError

Operation = Callable[[], None]


class FakeDevice:
    """Memory by address, streams as lists of what is still to be done. Every misuse is an assertion."""

    name = "cuda:0"
    compute_capability = (8, 6)

    def __init__(self, *, most_bytes: int = 1 << 30, can_capture: bool = True) -> None:
        self.most_bytes, self.can_capture = most_bytes, can_capture
        self.memory: dict[int, np.ndarray] = {}
        self.pinned: dict[int, np.ndarray] = {}
        self.streams: dict[int, list[Operation]] = {}
        self.graphs: dict[int, list[Operation]] = {}
        self.events: dict[int, int | None] = {}
        self.captures: dict[int, list[Operation]] = {}
        self.launches = 0
        self.busy = 0
        self.most_busy = 0
        self._numbers = itertools.count(1)
        self._clock = itertools.count()
        self._lock = threading.RLock()

    @property
    def is_empty(self) -> bool:
        """Whether everything was given back."""
        return not (self.memory or self.pinned or self.streams or self.graphs or self.events)

    def put(self, stream: int, operation: Operation) -> None:
        """On the stream, or into the graph that is being captured from it."""
        self.captures.get(stream, self.streams[stream]).append(operation)

    def array(self, address: int, size_bytes: int) -> np.ndarray:
        assert size_bytes <= self.memory[address].nbytes, "reads or writes beyond its memory"
        return self.memory[address][:size_bytes]

    def allocate(self, size_bytes: int) -> int:
        with self._lock:
            used = sum(block.nbytes for block in self.memory.values())
            if used + size_bytes > self.most_bytes:
                raise DeviceError("out of memory")
            address = 4096 * next(self._numbers)
            self.memory[address] = np.full(size_bytes, 0xCD, np.uint8)
            return address

    def free(self, address: int) -> None:
        del self.memory[address]

    def allocate_pinned(self, size_bytes: int) -> np.ndarray:
        host = np.full(size_bytes, 0xAB, np.uint8)
        self.pinned[host.ctypes.data] = host
        return host

    def free_pinned(self, host: np.ndarray) -> None:
        del self.pinned[host.ctypes.data]

    def new_stream(self) -> int:
        stream = next(self._numbers)
        self.streams[stream] = []
        return stream

    def free_stream(self, stream: int) -> None:
        assert not self.streams.pop(stream), "freed with work on it"

    def wait(self, stream: int) -> None:
        with self._lock:
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        operations = self.streams[stream]
        while operations:
            operations.pop(0)()
        with self._lock:
            self.busy -= 1

    def copy_in(self, address: int, host: np.ndarray, stream: int) -> None:
        assert self.is_pinned(host), "copies from memory that is not page-locked"
        self.put(stream, lambda: np.copyto(self.array(address, host.nbytes), host))

    def copy_out(self, host: np.ndarray, address: int, stream: int) -> None:
        assert self.is_pinned(host), "copies to memory that is not page-locked"
        self.put(stream, lambda: np.copyto(host, self.array(address, host.nbytes)))

    def is_pinned(self, host: np.ndarray) -> bool:
        return host.ctypes.data in self.pinned and host.flags.c_contiguous

    def begin_capture(self, stream: int) -> None:
        if not self.can_capture:
            raise DeviceError("cannot capture")
        self.captures[stream] = []

    def end_capture(self, stream: int) -> int:
        graph = next(self._numbers)
        self.graphs[graph] = self.captures.pop(stream)
        return graph

    def launch(self, graph: int, stream: int) -> None:
        self.launches += 1
        self.streams[stream].extend(self.graphs[graph])

    def free_graph(self, graph: int) -> None:
        del self.graphs[graph]

    def new_event(self) -> int:
        event = next(self._numbers)
        self.events[event] = None
        return event

    def free_event(self, event: int) -> None:
        del self.events[event]

    def record(self, event: int, stream: int) -> None:
        def note() -> None:
            self.events[event] = next(self._clock)

        self.put(stream, note)

    def elapsed_ms(self, begin: int, end: int) -> float:
        first, last = self.events[begin], self.events[end]
        assert None not in (first, last), "not recorded yet"
        return float(last - first)
