"""Steps for the tests of the runner: one for each way a step can end."""

import time

from afdcd.gpu.step import Context, Note, StepSkippedError
from modelpack.errors import GateError


def good(context: Context, note: Note) -> None:
    """Counts its calls in a file."""
    calls = context.work / "calls"
    calls.parent.mkdir(parents=True, exist_ok=True)
    with calls.open("a") as file:
        file.write("x")
    note("seconds_given", context.seconds)
    note("rows", [{"name": "a", "value": 1.5}, {"name": "b", "value": None}])


def bad(context: Context, note: Note) -> None:
    note("before", "kept")
    raise GateError("the gate is shut")


def broken(context: Context, note: Note) -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def idle(context: Context, note: Note) -> None:
    raise StepSkippedError("nothing to work on")


def endless(context: Context, note: Note) -> None:
    note("begun", True)
    time.sleep(600)


def dying(context: Context, note: Note) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
