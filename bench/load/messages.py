"""What the measuring process and its generators say to each other: one JSON object per line."""

from pathlib import Path
from typing import Any, Literal

from bench.load.loops import Loop
from bench.load.target import Target
from bench.load.transport import TransportFacts
from bench.messages import Message


class TargetOrder(Message):
    """First order: what to send, and where."""

    do: Literal["target"] = "target"
    target: Target


class LoadOrder(Message):
    """Run one share of one loop and leave its raw samples."""

    do: Literal["load"] = "load"
    loop: Loop
    start_ns: int
    """Of `time.monotonic_ns`, which all processes of a machine share."""
    share: tuple[int, int]
    """(index, of)."""
    timeout_seconds: float
    """From the intended send of a query; then it is given up."""
    raw_file: Path


class Taken(Message):
    """Reply to TargetOrder."""

    description: dict[str, Any] | None
    """Of a runtime in process: what answers."""


class Loaded(Message):
    """Reply to LoadOrder."""

    cpu_seconds: float
    """Of the generator's process."""
    start_ns: int
    """Time 0 of the samples, of `time.monotonic_ns`."""
    wall_seconds: float
    """From the start of the warm-up to the last answer."""
    transport: TransportFacts
