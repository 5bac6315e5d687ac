"""Who is measured: services behind HTTP, and the same work in processes without it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bench.load.generators import Generators
from bench.load.loops import ClosedLoop, OpenLoop
from bench.load.messages import Loaded
from bench.load.meters import ServerMeter, ServerUse
from bench.load.samples import Samples
from bench.load.server_process import RunningServer
from bench.service.heats import Heat
from bench.service.in_process import InProcess

MOST_REQUESTS = 10_000_000
OURS, NAIVE, OURS_INT8, OURS_SHADOWED = "ours", "naive", "ours-int8", "ours-shadowed"
IN_PROCESS = "in-process"


@dataclass(frozen=True)
class Pace:
    """How long one visit lasts, and what an open loop sends."""

    warm_up_seconds: float
    seconds: float
    timeout_seconds: float
    rate: float
    seed: int

    def loop(self, clients: int | None) -> OpenLoop | ClosedLoop:
        if clients is None:
            return OpenLoop(
                rate=self.rate,
                arrivals="poisson",
                warm_up_seconds=self.warm_up_seconds,
                seconds=self.seconds,
                seed=self.seed,
            )
        return ClosedLoop(
            clients=clients,
            warm_up_seconds=self.warm_up_seconds,
            seconds=self.seconds,
            min_queries=1,
            max_requests=MOST_REQUESTS,
            max_seconds=self.seconds + self.timeout_seconds,
        )


@dataclass(frozen=True)
class Visited:
    """What one visit left."""

    loop: OpenLoop | ClosedLoop
    samples: Samples
    loaded: Sequence[Loaded]
    server: ServerUse | None


class Contestant(Protocol):
    """Loaded and warm between the visits, and idle."""

    @property
    def name(self) -> str: ...

    @property
    def is_in_process(self) -> bool: ...

    @property
    def description(self) -> dict[str, Any]:
        """What answers, for the record."""

    def takes(self, heat: Heat) -> bool:
        """Whether this load means anything to it."""

    def pids(self) -> list[int]:
        """All its processes and those that load it."""

    def visit(self, heat: Heat, pace: Pace) -> Visited: ...


@dataclass(frozen=True)
class Service:
    """A server that is up, and the generator that loads it."""

    name: str
    server: RunningServer
    generators: Generators
    description: dict[str, Any]
    is_in_process: bool = False

    def takes(self, heat: Heat) -> bool:
        del heat
        return True

    def pids(self) -> list[int]:
        return [*self.generators.pids, *ServerMeter(self.server.pid).pids()]

    def visit(self, heat: Heat, pace: Pace) -> Visited:
        loop = pace.loop(heat.clients)
        with ServerMeter(self.server.pid) as watch:
            samples, loaded = self.generators.run(loop, pace.timeout_seconds)
        return Visited(loop, samples, loaded, watch.use)


@dataclass(frozen=True)
class WithoutHttp:
    """`processes` of `threads` each, however many clients the services have under that load."""

    work: InProcess
    processes: int
    threads: int
    heats: tuple[Heat, ...]
    description: dict[str, Any]
    is_in_process: bool = True

    @property
    def name(self) -> str:
        return f"{IN_PROCESS}-{self.processes}x{self.threads}"

    def takes(self, heat: Heat) -> bool:
        return heat in self.heats

    def pids(self) -> list[int]:
        return self.work.pids

    def visit(self, heat: Heat, pace: Pace) -> Visited:
        del heat
        samples, loaded = self.work.run(self.processes, self.threads, pace.warm_up_seconds, pace.seconds)
        return Visited(pace.loop(self.processes * self.threads), samples, loaded, None)
