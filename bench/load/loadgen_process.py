"""A child process in which MLPerf's own LoadGen decides what is sent when; our transports only carry it.

LoadGen is one per process (its state and logs are global) and blocks its thread, so the transports live in
an event loop on a thread beside it.
"""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import mlperf_loadgen

from bench.load.http_transport import HttpTransport
from bench.load.loadgen_messages import LoadgenDone, LoadgenOrder
from bench.load.order_loop import answer_orders
from bench.load.runtime_transport import RuntimeTransport
from bench.load.samples import Outcome
from bench.load.target import HttpTarget, RuntimeTarget
from bench.load.transport import Transport
from bench.messages import Message
from bench.timing import NS_PER_S

SCENARIOS = {
    "single_stream": "SingleStream",
    "multi_stream": "MultiStream",
    "server": "Server",
    "offline": "Offline",
}
SAMPLES = 1024
"""Sample numbers that LoadGen may draw; bodies and images begin again after the last."""
LOG_PREFIX = "mlperf_log_"
NS_PER_MS = 1_000_000
MS_PER_S = 1000


class _Bridge:
    """Takes queries from LoadGen's thread, sends their samples, and reports each as it is done."""

    def __init__(self, transport: Transport, in_flight: int, batch: int, timeout_s: float) -> None:
        self.failed: dict[str, int] = {}
        self._transport = transport
        self._in_flight = in_flight
        self._batch = batch
        self._timeout_ns = int(timeout_s * NS_PER_S)
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="transport", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(transport.open(), self._loop).result()

    def issue(self, samples: Sequence[Any]) -> None:
        """LoadGen's thread: must return at once."""
        self._loop.call_soon_threadsafe(self._begin, samples)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._transport.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _begin(self, samples: Sequence[Any]) -> None:
        batches = iter([samples[i : i + self._batch] for i in range(0, len(samples), self._batch)])
        for _ in range(min(len(samples), self._in_flight)):
            task = self._loop.create_task(self._send(batches))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, batches: Iterator[Sequence[Any]]) -> None:
        for batch in batches:
            numbers = [sample.index for sample in batch]
            reply = await self._transport.send(numbers, time.monotonic_ns() + self._timeout_ns)
            if reply.outcome is not Outcome.OK:
                self.failed[reply.outcome.label] = self.failed.get(reply.outcome.label, 0) + len(batch)
            responses = [mlperf_loadgen.QuerySampleResponse(sample.id, 0, 0) for sample in batch]
            mlperf_loadgen.QuerySamplesComplete(responses)


def run_loadgen(order: LoadgenOrder) -> LoadgenDone:
    """One scenario; LoadGen's logs are in `order.folder` afterwards."""
    bridge = _bridge(order.target, order.timeout_seconds)
    system = mlperf_loadgen.ConstructSUT(bridge.issue, lambda: None)
    library = mlperf_loadgen.ConstructQSL(SAMPLES, SAMPLES, lambda _: None, lambda _: None)
    begin_ns = time.monotonic_ns()
    try:
        mlperf_loadgen.StartTestWithLogSettings(system, library, _settings(order), _log_settings(order), "")
    finally:
        mlperf_loadgen.DestroyQSL(library)
        mlperf_loadgen.DestroySUT(system)
        bridge.close()
    seconds = (time.monotonic_ns() - begin_ns) / NS_PER_S
    return LoadgenDone(seconds=seconds, failed=bridge.failed)


def _bridge(target: HttpTarget | RuntimeTarget, timeout_s: float) -> _Bridge:
    if isinstance(target, HttpTarget):
        return _Bridge(HttpTransport(target), target.in_flight, 1, timeout_s)
    return _Bridge(RuntimeTransport(target), target.lanes, target.batch, timeout_s)


def _settings(order: LoadgenOrder) -> Any:
    config = order.config
    settings = mlperf_loadgen.TestSettings()
    settings.scenario = getattr(mlperf_loadgen.TestScenario, SCENARIOS[order.scenario])
    settings.mode = mlperf_loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms = int(config.min_seconds * MS_PER_S)
    settings.max_duration_ms = int(config.max_seconds * MS_PER_S)
    settings.min_query_count = config.min_samples if order.scenario == "offline" else config.min_queries
    settings.single_stream_expected_latency_ns = int(order.expected_latency_ms * NS_PER_MS)
    settings.multi_stream_expected_latency_ns = int(order.expected_latency_ms * NS_PER_MS)
    settings.multi_stream_samples_per_query = config.samples_per_query
    settings.server_target_qps = order.rate
    settings.server_target_latency_ns = int(config.server_bound_ms * NS_PER_MS)
    settings.offline_expected_qps = order.rate
    for name in ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed"):
        setattr(settings, name, order.seed)
    return settings


def _log_settings(order: LoadgenOrder) -> Any:
    settings = mlperf_loadgen.LogSettings()
    settings.log_output.outdir = str(order.folder)
    settings.log_output.prefix = LOG_PREFIX
    settings.log_output.copy_summary_to_stdout = False
    settings.enable_trace = False
    return settings


def _answer(line: str) -> Message:
    return run_loadgen(LoadgenOrder.model_validate_json(line))


if __name__ == "__main__":
    answer_orders(_answer)
