"""What the measuring process and its workers say to each other: one JSON object per line."""

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict

from bench.config import Boundary, WarmUpConfig
from modelpack.runtimes.runtime import StageTimes
from modelpack.settings import StrictModel


class Message(StrictModel):
    """Bytes travel as base64."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class OpenOrder(Message):
    """First request: load one graph and get the images ready."""

    do: Literal["open"] = "open"
    package: Path
    artifact: str
    runtime: str
    runtime_table: dict[str, str]
    """The caller's runtimes, its own additions included."""
    device: Literal["auto", "cpu", "cuda"]
    threads: int
    input_size: tuple[int, int]
    """(height, width) that images are resized to."""
    images: tuple[bytes, ...]
    """Encoded, as in a request."""


class WarmUpOrder(Message):
    """Run one case until its time stands still."""

    do: Literal["warm_up"] = "warm_up"
    boundary: Boundary
    batch: int
    rule: WarmUpConfig


class TimeOrder(Message):
    """Record one visit of one case."""

    do: Literal["time"] = "time"
    boundary: Boundary
    batch: int
    settle_runs: int
    seconds: float
    samples: int | None
    stage_runs: int
    """Runs after the recorded ones that are split into stages, where boundary and runtime can."""


class Opened(Message):
    """Reply to OpenOrder."""

    open_ms: float
    """Loading the runtime's package and the graph."""
    device: str
    provider: str
    description: dict[str, Any]


class WarmUp(Message):
    """Reply to WarmUpOrder: what it took until the case was warm."""

    runs: int
    seconds: float
    is_stationary: bool
    """False: the cap was reached first."""
    window_medians_ms: tuple[float, ...]


class Timed(Message):
    """Reply to TimeOrder."""

    samples_ms: tuple[float, ...]
    """One per run of the whole batch."""
    stages: tuple[StageTimes, ...]
    peak_memory_bytes: int
    """Largest resident set of the worker so far."""


class Failed(Message):
    """Reply when the worker could not do as asked."""

    error: str
    is_unavailable: bool = False
    """The machine lacks the runtime or the device, or the runtime does not take this kind of artifact."""
