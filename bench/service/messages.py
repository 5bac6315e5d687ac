"""What the measuring process and the processes that do the work without HTTP say to each other."""

from pathlib import Path
from typing import Literal

from bench.messages import Message


class WorkOrder(Message):
    """Answer image after image in `threads` threads and leave the raw samples."""

    do: Literal["work"] = "work"
    threads: int
    start_ns: int
    """Of `time.monotonic_ns`, which all processes of a machine share."""
    warm_up_seconds: float
    seconds: float
    raw_file: Path
