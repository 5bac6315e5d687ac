"""An event loop whose clock jumps to what is due next: seconds of load in no time, always the same."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable

from bench.load.samples import Outcome, Reply, Samples
from bench.load.transport import TransportFacts
from bench.selftest.fake_lanes import FakeLanes, LoadBehaviour

NS_PER_S = 1_000_000_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """`now_ns` is the time; sleeping moves it."""

    def __init__(self):
        self.now_ns = 0
        super().__init__(_JumpingSelector(self))

    def time(self):
        return self.now_ns / NS_PER_S

    def clock(self):
        return self.now_ns

    async def wait_until(self, when_ns):
        await asyncio.sleep(max(when_ns - self.now_ns, 0) / NS_PER_S)


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop):
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits for something that never comes"
            self._loop.now_ns += max(round(timeout * NS_PER_S), 0)
        return ready


class VirtualServer:
    """A transport to lanes of known behaviour; answers exactly when they say."""

    def __init__(self, behaviour: LoadBehaviour, loop: VirtualLoop):
        self._lanes = FakeLanes(behaviour)
        self._loop = loop
        self.samples_sent = []

    async def open(self):
        pass

    async def send(self, samples, deadline_ns):
        self.samples_sent.append(tuple(samples))
        came_ns = self._loop.now_ns
        done_ns = max(self._lanes.done_ns(came_ns) for _ in samples)
        await self._loop.wait_until(min(done_ns, deadline_ns))
        if done_ns > deadline_ns:
            return Reply(came_ns, deadline_ns, 0, Outcome.TIMEOUT, 0)
        return Reply(came_ns, done_ns, 200, Outcome.OK, 1)

    def facts(self):
        return TransportFacts()

    async def close(self):
        pass


def in_virtual_time(work: Callable[[VirtualLoop], Awaitable[Samples]]) -> Samples:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work(loop))
    finally:
        loop.close()
