"""One worker process: one loaded graph, timed on request, in JSON lines on stdin and stdout."""

import json
import os
import sys
import time
from typing import TextIO

import cv2

from bench.boundaries import GraphCall, boundary_call
from bench.memory import peak_memory_bytes
from bench.messages import Failed, Message, Opened, OpenOrder, Timed, TimeOrder, WarmUpOrder
from bench.timing import NS_PER_MS, Call, time_runs
from bench.warmup import warm_up
from modelpack.errors import RuntimeUnavailableError, SegError
from modelpack.manifest import Artifact
from modelpack.package import ModelPackage
from modelpack.preprocess import Resizing
from modelpack.runtimes import RUNTIMES, open_runtime
from modelpack.runtimes.runtime import Runtime
from modelpack.tables import lookup, resolve

ORDERS: dict[str, type[Message]] = {"open": OpenOrder, "warm_up": WarmUpOrder, "time": TimeOrder}


class Worker:
    """Holds the runtime and the cases built on it so far."""

    def __init__(self, order: OpenOrder) -> None:
        RUNTIMES.update(order.runtime_table)
        if order.threads:
            cv2.setNumThreads(order.threads)
        package = ModelPackage.open(order.package, verify=False)
        _check_kind(order.runtime, package.artifact(order.artifact))
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
                return _timed(self._call(order), order)
            case _:
                return Failed(error=f"a worker that is open does not take {type(order).__name__}")

    def _call(self, order: WarmUpOrder | TimeOrder) -> Call:
        key = (order.boundary, order.batch)
        if key not in self._calls:
            self._calls[key] = boundary_call(
                order.boundary, self._runtime, self._images, self._resizing, order.batch
            )
        return self._calls[key]


def _check_kind(runtime: str, artifact: Artifact) -> None:
    """Raises RuntimeUnavailableError for a runtime that does not open such artifacts."""
    kinds = resolve(lookup(RUNTIMES, "runtime", runtime)).artifact_kinds
    if artifact.kind not in kinds:
        raise RuntimeUnavailableError(
            f"runtime {runtime} opens {', '.join(sorted(kinds))} artifacts, and this is {artifact.kind}"
        )


def _timed(call: Call, order: TimeOrder) -> Timed:
    samples_ms = time_runs(call, order.seconds, order.samples, order.settle_runs)
    peak_bytes = peak_memory_bytes()
    told = [call.stages() for _ in range(order.stage_runs)] if isinstance(call, GraphCall) else []
    return Timed(
        samples_ms=tuple(samples_ms),
        stages=tuple(stages for stages in told if stages),
        peak_memory_bytes=peak_bytes,
    )


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
        except RuntimeUnavailableError as error:
            reply = Failed(error=str(error), is_unavailable=True)
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
