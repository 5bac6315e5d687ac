"""Where the time of a step goes: parts that nest, each charged only for what it does itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Protocol

import torch

REST = "rest"
"""Of a step: what belongs to no part."""
_NS_PER_MS = 1e6


class Clock(Protocol):
    """Moments are noted at once and subtracted later: reading a device's clock would make the host wait."""

    def now(self) -> Any: ...

    def wait(self) -> None:
        """Until every moment that was noted has come."""

    def ms_between(self, earlier: Any, later: Any) -> float: ...


class HostClock:
    """For work that is done when its call returns."""

    def now(self) -> int:
        return time.perf_counter_ns()

    def wait(self) -> None:
        """Moments of the host have come."""

    def ms_between(self, earlier: int, later: int) -> float:
        return (later - earlier) / _NS_PER_MS


class CudaClock:
    """Events in the current stream: the time of the device, its waiting for the host included."""

    def now(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # untyped in torch
        event.record()
        return event

    def wait(self) -> None:
        torch.cuda.synchronize()

    def ms_between(self, earlier: torch.cuda.Event, later: torch.cuda.Event) -> float:
        return float(earlier.elapsed_time(later))


def clock_for(device: torch.device) -> Clock:
    return CudaClock() if device.type == "cuda" else HostClock()


class Timeline:
    """At every moment of a step one part runs, the one entered last: so the parts add up to the step."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: list[str] = []
        self._steps: list[list[tuple[str, Any]]] = []
        """By step, which part began to run at which moment; the last entry ends the step."""

    @contextmanager
    def step(self) -> Iterator[None]:
        """One step; what is measured outside of steps is not kept."""
        self._steps.append([])
        self.enter(REST)
        yield
        self._note(REST)
        self._open.clear()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self.enter(name)
        yield
        self.leave(name)

    def enter(self, name: str) -> None:
        self._open.append(name)
        self._note(name)

    def leave(self, name: str) -> None:
        """End `name` and what was left open within it; nothing where it is not open."""
        if name not in self._open:
            return
        while self._open.pop() != name:
            pass
        self._note(self._open[-1] if self._open else REST)

    def collect(self) -> list[dict[str, float]]:
        """Milliseconds by part of every step since the last call, parts in the order in which they began."""
        self._clock.wait()
        collected = [self._parts_of(moments) for moments in self._steps]
        self._steps.clear()
        return collected

    def _note(self, running: str) -> None:
        if self._steps:
            self._steps[-1].append((running, self._clock.now()))

    def _parts_of(self, moments: list[tuple[str, Any]]) -> dict[str, float]:
        parts: dict[str, float] = {}
        for (name, began), (_, ended) in pairwise(moments):
            parts[name] = parts.get(name, 0.0) + self._clock.ms_between(began, ended)
        return parts
