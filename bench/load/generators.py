"""The generator processes of one measurement: asked as one, started at the same moment."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.load.loops import ClosedLoop, OpenLoop
from bench.load.messages import Loaded, LoadOrder, Taken, TargetOrder
from bench.load.samples import Samples
from bench.load.target import HttpTarget, RuntimeTarget
from bench.worker_process import WorkerProcess

START_DELAY_NS = 100_000_000
"""From the order to the first query: every process has read it by then."""


class Generators:
    """`processes` generators on one target. Use as a context manager."""

    def __init__(self, processes: int, target: HttpTarget | RuntimeTarget) -> None:
        self._processes = processes
        self._order = TargetOrder(target=target)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afdcd-load-")))
            self._threads = stack.enter_context(ThreadPoolExecutor(self._processes))
            self._workers = [
                stack.enter_context(WorkerProcess(f"load generator {number}", "bench.load.generator"))
                for number in range(self._processes)
            ]
            taken = [worker.ask(self._order, Taken, "taking the target") for worker in self._workers]
            self.description = taken[0].description
            """Of a runtime in process: what answers there."""
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def run(self, loop: OpenLoop | ClosedLoop, timeout_seconds: float) -> tuple[Samples, list[Loaded]]:
        """Run one loop, divided among the processes. Raises WorkerError."""
        start_ns = time.monotonic_ns() + START_DELAY_NS
        files = [self._folder / f"{number}.npz" for number in range(self._processes)]
        orders = [
            LoadOrder(
                loop=loop,
                start_ns=start_ns,
                share=(number, self._processes),
                timeout_seconds=timeout_seconds,
                raw_file=file,
            )
            for number, file in enumerate(files)
        ]
        asked = [
            self._threads.submit(worker.ask, order, Loaded, f"running the {loop.kind} loop")
            for worker, order in zip(self._workers, orders, strict=True)
        ]
        loaded = [future.result() for future in asked]
        return Samples.merged([Samples.read(file) for file in files]), loaded
