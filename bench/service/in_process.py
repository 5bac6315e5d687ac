"""The same work without HTTP, in so many processes of so many threads: the most that a server can reach."""

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.load.generators import START_DELAY_NS
from bench.load.messages import Loaded
from bench.load.samples import Samples
from bench.messages import Opened, OpenOrder
from bench.service.messages import WorkOrder
from bench.worker_process import WorkerProcess


class InProcess:
    """`processes` that each hold the graph. Use as a context manager."""

    def __init__(self, processes: int, order: OpenOrder) -> None:
        self._processes = processes
        self._order = order

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afdcd-service-")))
            self._threads = stack.enter_context(ThreadPoolExecutor(self._processes))
            self._workers = [
                stack.enter_context(WorkerProcess(f"work process {number}", "bench.service.work_process"))
                for number in range(self._processes)
            ]
            opened = [worker.ask(self._order, Opened, "loading the graph") for worker in self._workers]
            self.description: dict[str, Any] = opened[0].description
            """The runtime that answers."""
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def run(
        self, processes: int, threads: int, warm_up_seconds: float, seconds: float
    ) -> tuple[Samples, Sequence[Loaded]]:
        """Work in the first `processes`. Raises WorkerError."""
        start_ns = time.monotonic_ns() + START_DELAY_NS
        files = [self._folder / f"{number}.npz" for number in range(processes)]
        orders = [
            WorkOrder(
                threads=threads,
                start_ns=start_ns,
                warm_up_seconds=warm_up_seconds,
                seconds=seconds,
                raw_file=file,
            )
            for file in files
        ]
        asked = [
            self._threads.submit(worker.ask, order, Loaded, "working")
            for worker, order in zip(self._workers, orders, strict=False)
        ]
        loaded = [future.result() for future in asked]
        return Samples.merged([Samples.read(file) for file in files]), loaded
