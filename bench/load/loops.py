"""The two ways to load: open loops send by the clock, closed loops by the answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.load.config import Arrivals
from bench.load.samples import Recorder
from bench.load.schedule import arrival_offsets_ns
from bench.load.timer import Timer
from bench.load.transport import Transport
from bench.messages import Message
from bench.timing import NS_PER_S

Clock = Callable[[], int]
WaitUntil = Callable[[int], Awaitable[None]]


class OpenLoop(Message):
    """Queries at times that are fixed beforehand. Latency counts from those times."""

    kind: Literal["open"] = "open"
    rate: float
    """Queries per second, of all generator processes together."""
    arrivals: Arrivals
    warm_up_seconds: float
    seconds: float
    """Of the schedule, warm-up aside; answers are awaited after it."""
    seed: int

    def offsets_ns(self) -> NDArray[np.int64]:
        """Intended sends from the start of the warm-up."""
        whole_s = self.warm_up_seconds + self.seconds
        return arrival_offsets_ns(self.rate, whole_s, self.arrivals, self.seed)


class ClosedLoop(Message):
    """Clients that send their next query when the last one is answered."""

    kind: Literal["closed"] = "closed"
    clients: int
    """Of all generator processes together."""
    samples_per_query: int = 1
    warm_up_seconds: float
    seconds: float
    """Queries are begun until this much recorded time has passed ..."""
    min_queries: int = 0
    """... and so many are recorded ..."""
    max_requests: int
    """... but no longer than until so many are,"""
    max_seconds: float
    """and no longer than this."""


Loop = Annotated[OpenLoop | ClosedLoop, Field(discriminator="kind")]


async def run_loop(
    loop: OpenLoop | ClosedLoop, transport: Transport, start_ns: int, share: tuple[int, int], timeout_s: float
) -> Recorder:
    """The `share` (index, of) of a loop whose warm-up starts at `start_ns` of `time.monotonic_ns`."""
    with Timer() as timer:
        if isinstance(loop, OpenLoop):
            return await open_loop(loop, transport, start_ns, share, timeout_s, timer.wait_until)
        await timer.wait_until(start_ns)
        return await closed_loop(loop, transport, start_ns, share, timeout_s)


async def open_loop(
    loop: OpenLoop,
    transport: Transport,
    start_ns: int,
    share: tuple[int, int],
    timeout_s: float,
    wait_until: WaitUntil,
    clock: Clock = time.monotonic_ns,
) -> Recorder:
    """Send at every intended time, whatever is still unanswered; ends when nothing is on its way."""
    recorder = Recorder()
    recorded_from_ns = start_ns + int(loop.warm_up_seconds * NS_PER_S)
    timeout_ns = int(timeout_s * NS_PER_S)

    async def query(number: int, intended_ns: int) -> None:
        started_ns = clock()
        reply = await transport.send((number,), intended_ns + timeout_ns)
        if intended_ns >= recorded_from_ns:
            recorder.add(intended_ns, started_ns, reply)

    index, of = share
    async with asyncio.TaskGroup() as on_their_way:
        for number, offset_ns in enumerate(loop.offsets_ns().tolist()):
            if number % of == index:
                await wait_until(start_ns + offset_ns)
                on_their_way.create_task(query(number, start_ns + offset_ns))
    return recorder


async def closed_loop(
    loop: ClosedLoop,
    transport: Transport,
    start_ns: int,
    share: tuple[int, int],
    timeout_s: float,
    clock: Clock = time.monotonic_ns,
) -> Recorder:
    """`clients` tasks, each with one query on its way; ends when the last answer is there."""
    recorder = Recorder()
    recorded_from_ns = start_ns + int(loop.warm_up_seconds * NS_PER_S)
    end_ns, last_ns = (recorded_from_ns + int(s * NS_PER_S) for s in (loop.seconds, loop.max_seconds))
    timeout_ns = int(timeout_s * NS_PER_S)
    index, of = share
    begun = recorded = 0

    def is_over(now_ns: int) -> bool:
        if recorded * of >= loop.max_requests or now_ns >= last_ns:
            return True
        return now_ns >= end_ns and recorded * of >= loop.min_queries

    async def client() -> None:
        nonlocal begun, recorded
        while not is_over(started_ns := clock()):
            first = (begun * of + index) * loop.samples_per_query
            begun += 1
            counts = started_ns >= recorded_from_ns
            recorded += counts
            samples = range(first, first + loop.samples_per_query)
            reply = await transport.send(samples, started_ns + timeout_ns)
            if counts:
                recorder.add(started_ns, started_ns, reply)

    async with asyncio.TaskGroup() as clients:
        for _ in range(index, loop.clients, of):
            clients.create_task(client())
    return recorder
