"""Everything that can be set about the service, with its limits stated."""

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from modelpack.settings import StrictModel
from serve.batching.settings import BatchingSettings
from serve.mirror.settings import CanarySettings, ShadowSettings

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
    batch_max_images: PositiveInt = 64
    """Most images in one request to `/v1/segment/batch`; each obeys `max_bytes` and `max_pixels`."""
    batch_max_bytes: PositiveInt = 64 * MIB
    """Largest body of such a request in bytes, and the most that a zip may hold when it is unpacked."""
    v2_max_batch: PositiveInt = 32
    """Most images in one request of the Open Inference Protocol; together they obey `max_pixels` too."""
    queue_length: PositiveInt = 256
    """Requests that may wait for their turn; the next one is answered 429 with Retry-After."""
    active: PositiveInt | Literal["auto"] = "auto"
    """Requests decoded, inferred and encoded at once: each holds one decoded image in memory. `auto`: 4, or
    where requests are joined twice `batching.max_images`, so that one run is made ready during another."""
    codec_threads: NonNegativeInt | Literal["auto"] = "auto"
    """Threads that decode and encode beside the graph. 0: the thread that computes an image also decodes and
    encodes it, which is faster where they would share one core. `auto`: 0 in a one-core worker, else 2."""
    batching: BatchingSettings = BatchingSettings()
    """How images of several requests become one run of the graph."""
    keys: Path | None = None
    """File of API keys, as `afdcd serve key` writes it. None: whoever reaches the service may use it, which
    is allowed on loopback addresses only."""
    allow_anonymous: bool = False
    """Listen on other addresses without `keys`, because something else decides who gets through."""
    cors_origins: tuple[str, ...] = ()
    """Origins (`https://example.org`) whose pages may use the service from a browser."""

    header_timeout_s: PositiveFloat = 5.0
    """Time a client has to send a request's header; then 408 and the connection is closed."""
    body_timeout_s: PositiveFloat = 15.0
    """Time a client has to send its whole body; then 408."""
    deadline_s: PositiveFloat = 30.0
    """Time from the whole body to the answer; then 504. A request may ask for less by `X-Deadline-Ms`."""
    answer_timeout_s: PositiveFloat = 15.0
    """Time a client may leave an answer, or 64 KiB of it, unread; then the connection is cut."""
    drain_delay_s: NonNegativeFloat = 0.2
    """Time from SIGTERM (readiness turns false) to the closing of the port, for load balancers to notice."""
    drain_timeout_s: PositiveFloat = 30.0
    """Time that requests in flight have to finish after the port was closed."""

    hang_timeout_s: PositiveFloat = 10.0
    """A worker whose event loop stands still for so long is killed and replaced."""
    parent_pid: PositiveInt | None = None
    """The process that started the service for itself; the service drains and leaves when that is gone."""

    shadow: ShadowSettings = ShadowSettings()
    """A second model whose masks are compared with the answers (docs/loop.md)."""
    canary: CanarySettings = CanarySettings()
    """How a new version that is loaded as a canary is tried."""

    log_format: Literal["plain", "json"] = "plain"
    log_requests: bool = True
    """One line for each request: id, status, milliseconds. Never image data."""

    @model_validator(mode="after")
    def _strangers_need_keys(self) -> Self:
        if self.keys is None and not self.allow_anonymous and not _is_loopback(self.host):
            raise ValueError(
                f"other machines can reach {self.host}, so API keys are needed: make one with "
                "`afdcd serve key FILE NAME` and give keys=FILE, or say allow_anonymous=true where something "
                "else keeps strangers out"
            )
        return self

    @model_validator(mode="after")
    def _joining_needs_codec_threads(self) -> Self:
        if self.batching.enabled is True and self.codec_threads == 0:
            raise ValueError(
                "batching joins images that were decoded by threads of their own: set codec_threads to 1 or "
                "more, or leave it out"
            )
        return self

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_whole(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, _, rest = origin.partition("://")
            if scheme not in ("http", "https") or not rest or "/" in rest or "*" in rest:
                raise ValueError(
                    f"{origin!r} is not an origin: write it as https://example.org, without a path or *"
                )
        return origins


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
