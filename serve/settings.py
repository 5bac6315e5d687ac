"""Everything that can be set about the service, with its limits stated."""

from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from modelpack.settings import StrictModel

MIB = 1 << 20


class ServeSettings(StrictModel):
    """One service."""

    package: Path
    """Folder of the model package that answers where no model is named."""
    more_packages: tuple[Path, ...] = ()
    """Folders of further packages, asked for by name."""
    repository: Path | None = None
    """Folder of packages, each in a folder of its name, that may be loaded while the service runs."""
    host: str = "127.0.0.1"
    """Address to listen on. The default is reachable from this machine only."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes any free port; the URL is printed when the service is ready."""

    artifact: str | None = None
    """Name of the artifact to run. None: the best for the device, by the rules of
    `modelpack.runtimes.choice`; the log, `/v1/model` and `/readyz` say which it is and why."""
    runtime: str | None = None
    """A name of `modelpack.runtimes.RUNTIMES`. None: chosen with the artifact."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: NonNegativeInt = 0
    """CPU threads of one inference; 0 = the runtime's own choice."""
    min_agreement: float | None = Field(default=None, ge=0, le=1)
    """Share of pixels in which each replayed sample must equal the packaged mask before the service is ready.
    None: by the artifact's precision, see `modelpack.replay.LEAST_AGREEMENT`."""
    trusted_keys: tuple[str, ...] = ()
    """Public keys (`ed25519:...`), or files that hold one; one of them must have signed the package. Empty:
    any package is served. Needs the package cryptography."""

    workers: NonNegativeInt | Literal["auto"] = "auto"
    """Processes that answer, under a supervisor that replaces the dead. `auto`: on the CPU one for each core
    with one thread each, on a GPU one. 0: this process answers itself, without a supervisor."""

    max_bytes: PositiveInt = 20 * MIB
    """Largest request body in bytes; refused from Content-Length where it is given, else cut at the limit."""
    max_pixels: PositiveInt = 40_000_000
    """Most pixels of an image, read from its header before anything is decoded."""
    v2_max_batch: PositiveInt = 32
    """Most images in one request of the Open Inference Protocol; together they obey `max_pixels` too."""
    queue_length: PositiveInt = 256
    """Requests that may wait for their turn; the next one is answered 429 with Retry-After."""
    active: PositiveInt = 4
    """Requests decoded, inferred and encoded at once: each holds one decoded image in memory."""
    codec_threads: NonNegativeInt | Literal["auto"] = "auto"
    """Threads that decode and encode beside the graph. 0: the thread that computes an image also decodes and
    encodes it, which is faster where they would share one core. `auto`: 0 in a one-core worker, else 2."""
    header_timeout_s: PositiveFloat = 5.0
    """Time a client has to send a request's header; then 408 and the connection is closed."""
    body_timeout_s: PositiveFloat = 15.0
    """Time a client has to send its whole body; then 408."""
    deadline_s: PositiveFloat = 30.0
    """Time from the whole body to the answer; then 504."""
    drain_delay_s: NonNegativeFloat = 0.2
    """Time from SIGTERM (readiness turns false) to the closing of the port, for load balancers to notice."""
    drain_timeout_s: PositiveFloat = 30.0
    """Time that requests in flight have to finish after the port was closed."""

    hang_timeout_s: PositiveFloat = 10.0
    """A worker whose event loop stands still for so long is killed and replaced."""
    parent_pid: PositiveInt | None = None
    """The process that started the service for itself; the service drains and leaves when that is gone."""

    log_format: Literal["plain", "json"] = "plain"
    log_requests: bool = True
    """One line for each request: id, status, milliseconds. Never image data."""
