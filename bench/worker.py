"""One worker process: one loaded graph, timed on request, in JSON lines on stdin and stdout."""

import json
import os
import sys
import time
from typing import TextIO

import cv2

from bench.boundaries import boundary_call
from bench.memory import peak_memory_bytes
from bench.messages import Failed, Message, Opened, OpenOrder, Timed, TimeOrder, WarmUpOrder
from bench.timing import NS_PER_MS, Call, time_runs
from bench.warmup import warm_up
from modelpack.errors import SegError
from modelpack.package import ModelPackage
from modelpack.preprocess import Resizing
from modelpack.runtimes import RUNTIMES, open_runtime
from modelpack.runtimes.runtime import Runtime

ORDERS: dict[str, type[Message]] = {"open": OpenOrder, "warm_up": WarmUpOrder, "time": TimeOrder}


class Worker:
    """Holds the runtime and the cases built on it so far."""

    def __init__(self, order: OpenOrder) -> None:
        RUNTIMES.update(order.runtime_table)
        if order.threads:
            cv2.setNumThreads(order.threads)
        package = ModelPackage.open(order.package, verify=False)
        start_ns = time.perf_counter_ns()
        self._runtime: Runtime = open_runtime(
            package,
            artifact=order.artifact,
            runtime=order.runtime,
            device=order.device,
            threads=order.threads,
        )
        self._open_ms = (time.perf_counter_ns() - start_ns) / NS_PER_MS
        height, width = order.input_size
        self._resizing: Resizing = package.manifest.resizing.model_copy(
            update={"height": height, "width": width}
        )
        self._images = order.images
        self._calls: dict[tuple[str, int], Call] = {}

    def opened(self) -> Opened:
        return Opened(
            open_ms=self._open_ms,
            device=self._runtime.device,
            provider=self._runtime.provider,
            description=self._runtime.describe(),
        )

    def answer(self, order: Message) -> Message:
        match order:
            case WarmUpOrder():
                return warm_up(self._call(order), order.rule)
            case TimeOrder():
                samples_ms = time_runs(self._call(order), order.seconds, order.samples, order.settle_runs)
                return Timed(samples_ms=tuple(samples_ms), peak_memory_bytes=peak_memory_bytes())
            case _:
                return Failed(error=f"a worker that is open does not take {type(order).__name__}")

    def _call(self, order: WarmUpOrder | TimeOrder) -> Call:
        key = (order.boundary, order.batch)
        if key not in self._calls:
            self._calls[key] = boundary_call(
                order.boundary, self._runtime, self._images, self._resizing, order.batch
            )
        return self._calls[key]


def serve(orders: TextIO, replies: TextIO) -> None:
    """Answer orders until the other side closes. A failure is a reply; what the worker holds stays usable."""
    worker: Worker | None = None
    for line in orders:
        values = json.loads(line)
        order = ORDERS[values["do"]].model_validate_json(line)
        reply: Message
        try:
            if isinstance(order, OpenOrder):
                worker = Worker(order)
                reply = worker.opened()
            else:
                reply = worker.answer(order) if worker else Failed(error="the first order must be `open`")
        except SegError as error:
            reply = Failed(error=str(error))
        except Exception as error:  # the process edge: the measuring process must hear of it
            reply = Failed(error=f"{type(error).__name__}: {error}")
        replies.write(
            json.dumps({"kind": type(reply).__name__, "reply": reply.model_dump(mode="json")}) + "\n"
        )
        replies.flush()


def main() -> None:
    """Keep stdout for replies alone: whatever a library prints goes to stderr."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
