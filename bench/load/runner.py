"""Runs loops one after the other and keeps what each left: raw samples, HdrHistogram log, figures."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.load.config import Arrivals, LoadConfig
from bench.load.generators import START_DELAY_NS, Generators
from bench.load.hdr import write_log
from bench.load.loops import ClosedLoop, OpenLoop
from bench.load.meters import ServerMeter
from bench.load.open_target import OpenTarget
from bench.load.result import LoadRun
from bench.load.samples import Samples
from bench.load.summary import PERCENTS, summarise
from bench.load.target import RuntimeTarget
from bench.progress import Report
from bench.timing import NS_PER_S
from bench.validity import LoadMeter
from modelpack.errors import SegError

RAW_FOLDER = "raw"


class TargetError(SegError):
    """What was to be loaded does not answer as it should; there is nothing to measure."""


class Runner:
    """The generators, the meters and the results so far."""

    def __init__(
        self, config: LoadConfig, opened: OpenTarget, generators: Generators, folder: Path, report: Report
    ) -> None:
        self.config = config
        self.runs: list[LoadRun] = []
        self.folder = folder
        self.target = opened.target
        self.timeout_s = config.request.timeout_seconds
        self.percents = PERCENTS
        """Of every run from now on."""
        self._opened = opened
        self._generators = generators
        self._report = report

    def closed(self, clients: int, seconds: float) -> LoadRun:
        """A closed loop."""
        loop = ClosedLoop(
            clients=clients,
            warm_up_seconds=self.config.warm_up_seconds,
            seconds=seconds,
            min_queries=1,
            max_requests=self.config.max_requests,
            max_seconds=seconds + self.timeout_s,
        )
        return self.run(f"closed-{clients}", loop)[0]

    def open(self, rate: float, seconds: float, seed: int | None = None) -> LoadRun:
        """An open loop of the settings' arrivals."""
        loop = self.open_loop(rate, seconds, self.config.arrivals, seed)
        return self.run(f"open-{rate:.4g}", loop)[0]

    def open_loop(self, rate: float, seconds: float, arrivals: Arrivals, seed: int | None = None) -> OpenLoop:
        """`seconds` of load, or as long as `max_requests` last."""
        return OpenLoop(
            rate=rate,
            arrivals=arrivals,
            warm_up_seconds=self.config.warm_up_seconds,
            seconds=min(seconds, self.config.max_requests / rate),
            seed=self.config.seed if seed is None else seed,
        )

    def run(
        self, name: str, loop: OpenLoop | ClosedLoop, timeout_s: float | None = None
    ) -> tuple[LoadRun, Samples]:
        """One loop; a name that is taken gets a number. `timeout_s`: in place of a request's own.

        Raises TargetError where the first loop gets no right answer at all.
        """
        name = self._free(name)
        self.tell(name)
        watch = ServerMeter(self._opened.pid) if self._opened.pid else None
        meter = LoadMeter([*self._generators.pids, *(watch.pids() if watch else [])])
        recorded_from = datetime.now(UTC) + timedelta(
            seconds=START_DELAY_NS / NS_PER_S + loop.warm_up_seconds
        )
        with watch or nullcontext():
            samples, loaded = self._generators.run(loop, timeout_s or self.timeout_s)
        run = summarise(
            name,
            loop,
            samples,
            loaded,
            is_in_process=isinstance(self.target, RuntimeTarget),
            max_error_share=self.config.max_error_share,
            percents=self.percents,
            server=watch.use if watch else None,
            other_load=meter.others() if self._opened.knows_all_processes else None,
        )
        if not run.ok and not self.runs:
            raise TargetError(_nothing_answered(self._opened.name, run))
        self._keep(name, samples, recorded_from)
        self.runs.append(run)
        return run, samples

    def begin(self, text: str, steps: int) -> None:
        """For those who watch: a stretch of at most so many runs begins."""
        self._report.stage(text, steps)

    def tell(self, text: str) -> None:
        """For those who watch: what is about to run."""
        self._report.step(text)

    def _keep(self, name: str, samples: Samples, started: datetime) -> None:
        raw = self.folder / RAW_FOLDER
        samples.write(raw / f"{name}.npz")
        ends_s = samples.done_ns[samples.counts] / NS_PER_S
        write_log(raw / f"{name}.hlog", name, started, ends_s, samples.latency_ms)

    def _free(self, name: str) -> str:
        taken = {run.name for run in self.runs}
        candidates = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
        return next(candidate for candidate in candidates if candidate not in taken)


def _nothing_answered(target: str, run: LoadRun) -> str:
    failed = ", ".join(f"{count} {kind}" for kind, count in run.errors.items()) or "nothing was sent"
    statuses = ", ".join(str(status) for status in run.statuses)
    told = f" (status {statuses})" if statuses else ""
    return (
        f"{target}: no query of the first loop was answered as expected: {failed}{told}. Check the address, "
        "the body, request.expected_status and request.timeout_seconds."
    )
