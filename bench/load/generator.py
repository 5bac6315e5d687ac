"""A generator process: does nothing but send and note times, so that what it measures is not itself."""

import asyncio
import gc
import time

from pydantic import TypeAdapter

from bench.load.http_transport import HttpTransport
from bench.load.loops import run_loop
from bench.load.messages import Loaded, LoadOrder, Taken, TargetOrder
from bench.load.order_loop import answer_orders
from bench.load.runtime_transport import RuntimeTransport
from bench.load.target import HttpTarget, RuntimeTarget
from bench.load.transport import Transport
from bench.messages import Failed, Message
from bench.timing import NS_PER_S

ORDERS: TypeAdapter[TargetOrder | LoadOrder] = TypeAdapter(TargetOrder | LoadOrder)


class Generator:
    """Holds the target between the loops."""

    def __init__(self) -> None:
        self._http: HttpTarget | None = None
        self._runtime: RuntimeTransport | None = None

    def answer(self, line: str) -> Message:
        order = ORDERS.validate_json(line)
        if isinstance(order, TargetOrder):
            return self._take(order.target)
        transport = HttpTransport(self._http) if self._http else self._runtime
        if transport is None:
            return Failed(error="the first order must be `target`")
        gc.collect()
        gc.disable()  # no request pays for the garbage of others
        try:
            return asyncio.run(_load(order, transport))
        finally:
            gc.enable()

    def _take(self, target: HttpTarget | RuntimeTarget) -> Taken:
        if isinstance(target, HttpTarget):
            self._http = target
            return Taken(description=None)
        self._runtime = RuntimeTransport(target)
        return Taken(description=self._runtime.description)


async def _load(order: LoadOrder, transport: Transport) -> Loaded:
    await transport.open()
    cpu_s = time.process_time()
    recorder = await run_loop(order.loop, transport, order.start_ns, order.share, order.timeout_seconds)
    cpu_s = time.process_time() - cpu_s
    wall_s = (time.monotonic_ns() - order.start_ns) / NS_PER_S
    facts = transport.facts()
    await transport.close()
    recorded_from_ns = order.start_ns + int(order.loop.warm_up_seconds * NS_PER_S)
    recorder.samples(recorded_from_ns).write(order.raw_file)
    return Loaded(cpu_seconds=cpu_s, start_ns=recorded_from_ns, wall_seconds=wall_s, transport=facts)


if __name__ == "__main__":
    answer_orders(Generator().answer)
