"""What is measured, as the generator process is told: an address and bodies, or a package and images."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from bench.messages import Message
from modelpack.runtimes.choice import Wanted


class Body(Message):
    """Content of one request."""

    name: str
    content_type: str
    """Empty: none is stated."""
    content: bytes


class HttpTarget(Message):
    """Requests to one address."""

    kind: Literal["http"] = "http"
    url: str
    method: str
    headers: dict[str, str]
    bodies: tuple[Body, ...] = Field(min_length=1)
    expected_status: tuple[int, ...]
    checks_content: bool
    """Every answer to a body must equal the first one."""
    max_connections: int
    in_flight: int
    """Requests at once of one query of several samples."""


class RuntimeTarget(Message):
    """A package's graph, called in the generator's own process."""

    kind: Literal["runtime"] = "runtime"
    package: Path
    artifact: str | None
    runtime: str | None
    runtime_table: dict[str, str]
    """The caller's runtimes, its own additions included."""
    device: Wanted
    threads: int
    lanes: int
    batch: int
    images: tuple[bytes, ...] = Field(min_length=1)
    """Encoded; decoded and resized before the first call."""
    input_size: tuple[int, int]
    """(height, width)."""


Target = Annotated[HttpTarget | RuntimeTarget, Field(discriminator="kind")]
