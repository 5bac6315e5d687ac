"""Settings of one load measurement: against what, which requests, how much, and what counts as failure."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from modelpack.runtimes.choice import Wanted
from modelpack.settings import StrictModel

Arrivals = Literal["poisson", "constant"]
Scenario = Literal["single_stream", "multi_stream", "server", "offline"]
Driver = Literal["own", "loadgen"]
Share = Annotated[str, Field(pattern=r"^\d+(\.\d+)?%$")]
"""As in `80%`: of the best throughput that the closed loops of the same measurement reached."""

DEFAULT_CLIENTS = (1, 8)
DEFAULT_RATES = ("50%", "80%")
"""What is measured when nothing is asked for: capacity first, then the latency below it."""
SEGMENT_PATH = "/v1/segment"
"""What a URL without a path means: our own service."""

_BOUND = re.compile(r"p(?P<percent>\d+(\.\d+)?)\s*(=|<=|<)\s*(?P<value>\d+(\.\d+)?)\s*(?P<unit>ms|s)")
_MILLISECONDS = {"ms": 1.0, "s": 1000.0}


class Bound(StrictModel):
    """The latency that a percentile may reach."""

    percent: float = Field(gt=0, lt=100)
    milliseconds: PositiveFloat

    def __str__(self) -> str:
        return f"p{self.percent:g} ≤ {self.milliseconds:g} ms"


def _read_bound(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _BOUND.fullmatch(value.strip())
    if found is None:
        raise ValueError(f"{value!r} is no bound; write it as p99=50ms or p99.9=1s")
    milliseconds = float(found["value"]) * _MILLISECONDS[found["unit"]]
    return {"percent": float(found["percent"]), "milliseconds": milliseconds}


WrittenBound = Annotated[Bound, BeforeValidator(_read_bound)]


class RequestConfig(StrictModel):
    """What is sent, and which answer is right."""

    method: str = Field(default="POST", pattern=r"^[A-Z]+$")
    headers: dict[str, str] = Field(default_factory=dict)
    """Laid upon Host, Content-Length and the Content-Type of the body."""
    images: Path | None = None
    """Folder of images, sent in turn. None: the samples of the package, else one generated image."""
    body: Path | None = None
    """One file that is sent as it is, in place of images."""
    image_size: tuple[PositiveInt, PositiveInt] = (360, 480)
    """(height, width) of the generated image."""
    expected_status: tuple[int, ...] = Field(default=(200,), min_length=1)
    check: Literal["status", "same"] = "status"
    """`same`: also, every answer to a body must equal the first one to that body, byte by byte."""
    timeout_seconds: PositiveFloat = 10.0
    """Counted from the intended send; then the client hangs up."""

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.images is not None and self.body is not None:
            raise ValueError("images and body are both set; choose one")
        return self


class SweepConfig(StrictModel):
    """Search for the highest open-loop rate that keeps every bound."""

    bounds: tuple[WrittenBound, ...] = Field(min_length=1)
    """As text (`p99=50ms`) or as {percent: 99, milliseconds: 50}."""
    start_rate: PositiveFloat | None = None
    """Requests per second. None: half of what one client reaches in a closed loop."""
    growth: float = Field(default=1.6, gt=1)
    """Factor between the rates while the answer is not bracketed yet."""
    resolution: float = Field(default=0.05, gt=0, lt=1)
    """Bisection ends when the failing rate is at most this much above the passing one."""
    confirmations: PositiveInt = 2
    """Further runs, all of which must keep the bounds, before a rate is the answer."""
    step_seconds: PositiveFloat = 10.0
    """Recorded time of a step; longer where its percentiles need more samples."""
    max_step_seconds: PositiveFloat = 60.0
    max_steps: PositiveInt = 24


class ScenarioConfig(StrictModel):
    """MLPerf Inference: its published minimum is the default of each field that has one."""

    min_seconds: PositiveFloat = 600.0
    min_queries: PositiveInt = 100
    """Of SingleStream, MultiStream and Server; early stopping decides whether they were enough."""
    min_samples: PositiveInt = 24_576
    """Of Offline."""
    max_seconds: PositiveFloat = 3600.0
    """The end, whatever is still missing; the result is then INVALID."""
    samples_per_query: PositiveInt = 8
    """Of MultiStream."""
    server_rate: PositiveFloat | None = None
    """Queries per second of Server. None: the highest that is found valid."""
    server_bound_ms: PositiveFloat = 100.0
    """99 % of Server's queries must be answered within this."""
    in_flight: PositiveInt = 16
    """Over HTTP: requests of one query of MultiStream or Offline that are on their way at once."""
    batch: PositiveInt = 1
    """In process: samples of MultiStream and Offline that share one call of the runtime."""


class AgainstConfig(StrictModel):
    """Our closed loop and another load generator in turn, on the same server with the same request."""

    tool: str
    """A name of the table in `bench/load/against`."""
    rounds: int = Field(default=20, ge=10)
    """Each runs both, in an order that changes every time. Fewer than 10 give no interval."""
    max_difference: float = Field(default=0.05, gt=0)
    """From 1, of the ratios of throughput and of median latency, median over the rounds."""


class LoadConfig(StrictModel):
    """One load measurement."""

    url: str | None = None
    """What is measured. A URL without a path means our service's `/v1/segment`."""
    package: Path | None = None
    """In place of a URL: a model package, served by `python -m serve` on a free port meanwhile."""
    in_process: bool = False
    """Call the package's runtime directly, without HTTP."""
    serve: dict[str, Any] = Field(default_factory=dict)
    """Settings of the service that is started for `package`."""
    artifact: str | None = None
    """In process: a name in the manifest. None: the best for the device."""
    runtime: str | None = None
    """In process: a name of the runtimes table. None: the best for artifact and device."""
    device: Wanted = "auto"
    """In process: where the graph runs."""
    threads: NonNegativeInt = 0
    """In process: CPU threads of one call; 0 = the runtime's choice."""
    lanes: PositiveInt = 1
    """In process: calls at once."""
    request: RequestConfig = RequestConfig()

    clients: tuple[PositiveInt, ...] = ()
    """Closed loops: this many clients, each of which sends when its last answer has come."""
    rates: tuple[PositiveFloat | Share, ...] = ()
    """Open loops: requests per second, whether answers come or not."""
    arrivals: Arrivals = "poisson"
    """Spacing of open loops."""
    seconds: PositiveFloat = 10.0
    """Recorded time of each loop."""
    warm_up_seconds: NonNegativeFloat = 2.0
    """Load of the same kind before that, not recorded."""
    sweep: SweepConfig | None = None
    scenarios: tuple[Scenario, ...] = ()
    scenario: ScenarioConfig = ScenarioConfig()
    against: AgainstConfig | None = None
    """In place of all else: `clients` (the first) for `seconds` at a time, ours and the other in turn."""
    driver: Driver = "own"
    """Who runs the scenarios: our generator, or MLPerf's (`pip install mlcommons-loadgen`)."""

    max_requests: PositiveInt = 1_000_000
    """Of one loop; it ends there."""
    max_connections: PositiveInt = 512
    """Of each generator process. A request that finds none free waits, and its clock runs."""
    processes: PositiveInt = 1
    """Generator processes that share the load."""
    pid: PositiveInt | None = None
    """The server's process, whose CPU and memory are reported. None: found, where it runs on this machine."""
    max_error_share: float = Field(default=0.001, ge=0, lt=1)
    """More errors, timeouts, wrong answers and dropped connections than this make a run invalid."""
    seed: NonNegativeInt = 0
    """Arrival times and generated image."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url {url!r} is no address; write http://HOST:PORT/PATH")
        return parts._replace(path=SEGMENT_PATH).geturl() if parts.path in ("", "/") else url

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.url is None) == (self.package is None):
            raise ValueError("name what is measured: either url or package")
        if self.in_process and self.package is None:
            raise ValueError("in_process needs a package")
        if self.in_process and self.processes > 1:
            raise ValueError("in_process takes one process; set lanes for calls at once")
        if self.driver == "loadgen" and not self.scenarios:
            raise ValueError("driver loadgen runs scenarios; name some")
        if any(isinstance(rate, str) for rate in self.rates) and not self.clients:
            raise ValueError("a rate in % is a share of what closed loops reach; set clients")
        return self

    def with_something_to_do(self) -> Self:
        """Unchanged where load is asked for; else with the default loops."""
        if self.clients or self.rates or self.sweep or self.scenarios:
            return self
        return self.model_copy(update={"clients": DEFAULT_CLIENTS, "rates": DEFAULT_RATES})
