"""A process that does the service's work without HTTP: encoded image to encoded mask, again and again."""

import gc
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
from pydantic import TypeAdapter

from bench.boundaries import boundary_call
from bench.load.messages import Loaded
from bench.load.order_loop import answer_orders
from bench.load.samples import Outcome, Recorder, Reply, Samples
from bench.load.transport import TransportFacts
from bench.messages import Failed, Message, Opened, OpenOrder
from bench.service.messages import WorkOrder
from bench.timing import NS_PER_S, Call
from modelpack.package import ModelPackage
from modelpack.runtimes import RUNTIMES, open_best

ORDERS: TypeAdapter[OpenOrder | WorkOrder] = TypeAdapter(OpenOrder | WorkOrder)


class Work:
    """Holds the graph between the visits. Every thread calls the same session, as the naive endpoint does."""

    def __init__(self) -> None:
        self._call: Call | None = None

    def answer(self, line: str) -> Message:
        order = ORDERS.validate_json(line)
        if isinstance(order, OpenOrder):
            return self._open(order)
        if self._call is None:
            return Failed(error="the first order must be `open`")
        gc.collect()
        gc.disable()
        try:
            return _work(order, self._call)
        finally:
            gc.enable()

    def _open(self, order: OpenOrder) -> Opened:
        RUNTIMES.update(order.runtime_table)
        cv2.setNumThreads(order.threads)
        begun = time.monotonic()
        package = ModelPackage.open(order.package, verify=False)
        _, runtime = open_best(
            package,
            artifact=order.artifact,
            runtime=order.runtime,
            device=order.device,
            threads=order.threads,
        )
        height, width = order.input_size
        resizing = package.manifest.resizing.model_copy(update={"height": height, "width": width})
        self._call = boundary_call("image", runtime, order.images, resizing, 1)
        self._call()
        return Opened(
            open_ms=(time.monotonic() - begun) * 1e3,
            device=runtime.device,
            provider=runtime.provider,
            description=runtime.describe(),
        )


def _work(order: WorkOrder, call: Call) -> Loaded:
    recorded_from_ns = order.start_ns + int(order.warm_up_seconds * NS_PER_S)
    end_ns = recorded_from_ns + int(order.seconds * NS_PER_S)

    def one_after_the_other(_: int) -> Recorder:
        recorder = Recorder()
        time.sleep(max(order.start_ns - time.monotonic_ns(), 0) / NS_PER_S)
        while (begun_ns := time.monotonic_ns()) < end_ns or not recorder.replies:
            call()
            if begun_ns >= recorded_from_ns:
                recorder.add(begun_ns, begun_ns, Reply(begun_ns, time.monotonic_ns(), 0, Outcome.OK, 0))
        return recorder

    cpu_s = time.process_time()
    with ThreadPoolExecutor(order.threads) as threads:
        recorders = list(threads.map(one_after_the_other, range(order.threads)))
    cpu_s = time.process_time() - cpu_s
    wall_s = (time.monotonic_ns() - order.start_ns) / NS_PER_S
    Samples.merged([recorder.samples(recorded_from_ns) for recorder in recorders]).write(order.raw_file)
    return Loaded(
        cpu_seconds=cpu_s, start_ns=recorded_from_ns, wall_seconds=wall_s, transport=TransportFacts()
    )


if __name__ == "__main__":
    answer_orders(Work().answer)
