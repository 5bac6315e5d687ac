"""Everything that can be set about the service, with its limits stated."""

from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from modelpack.settings import StrictModel

MIB = 1 << 20


class ServeSettings(StrictModel):
    """One process that serves one package."""

    package: Path
    """Folder of the model package."""
    host: str = "127.0.0.1"
    """Address to listen on. The default is reachable from this machine only."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes any free port; the URL is printed when the service is ready."""

    artifact: str | None = None
    """Name of the artifact to run. None: the package's first."""
    runtime: str = "onnxruntime"
    """A name of `modelpack.runtimes.RUNTIMES`."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: NonNegativeInt = 0
    """CPU threads of one inference; 0 = the runtime's own choice."""
    min_agreement: float | None = Field(default=None, ge=0, le=1)
    """Share of pixels in which each replayed sample must equal the packaged mask before the service is ready.
    None: by the artifact's precision, see `serve.model.REPLAY_AGREEMENT`."""

    max_bytes: PositiveInt = 20 * MIB
    """Largest request body in bytes; refused from Content-Length where it is given, else cut at the limit."""
    max_pixels: PositiveInt = 40_000_000
    """Most pixels of an image, read from its header before anything is decoded."""
    queue_length: PositiveInt = 256
    """Requests that may wait for their turn; the next one is answered 429 with Retry-After."""
    active: PositiveInt = 4
    """Requests decoded, inferred and encoded at once: each holds one decoded image in memory."""
    codec_threads: PositiveInt = 2
    """Threads that decode and encode."""
    body_timeout_s: PositiveFloat = 15.0
    """Time a client has to send its whole body; then 408."""
    deadline_s: PositiveFloat = 30.0
    """Time from the whole body to the answer; then 504."""
    drain_delay_s: NonNegativeFloat = 0.2
    """Time from SIGTERM (readiness turns false) to the closing of the port, for load balancers to notice."""
    drain_timeout_s: PositiveFloat = 30.0
    """Time that requests in flight have to finish after the port was closed."""

    parent_pid: PositiveInt | None = None
    """The process that started the service for itself alone: the service drains and leaves when that is gone."""

    log_format: Literal["plain", "json"] = "plain"
    log_requests: bool = True
    """One line for each request: id, status, milliseconds. Never image data."""
