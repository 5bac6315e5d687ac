"""What a step of the proof is, and what it is told."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import PositiveFloat

from modelpack.errors import SegError
from modelpack.settings import StrictModel

Note = Callable[[str, Any], None]
"""Writes one named result into the step's JSON at once, so that it survives whatever happens next."""


class StepSkippedError(SegError):
    """There is nothing for this step to work on; the message says why."""


class Context(StrictModel):
    """What all steps are told. Settings, because each step runs in a process of its own."""

    out: Path
    """Folder of the results."""
    work: Path
    """Folder of what is large and made on the way: training runs, packages."""
    data_root: Path | None = None
    """CamVid as its recipes expect it."""
    device: Literal["cuda", "cpu"] = "cuda"
    seconds: PositiveFloat
    """What the step is given; it is stopped after that."""
    train_seconds: PositiveFloat | None = None
    """What teacher and student are trained for together. None: what the step is given."""

    @property
    def teacher_run(self) -> Path:
        return self.work / "distil" / "teacher"

    @property
    def student_run(self) -> Path:
        return self.work / "distil" / "student"

    @property
    def package(self) -> Path:
        return self.work / "package"


@dataclass(frozen=True)
class Step:
    """One line of the table."""

    target: str
    """`module:function`, called with (Context, Note) in a process of its own."""
    least_s: float
    """Not started with less than that; kept free for it by the steps before it."""
    limit_s: float
    """Stopped after that, and then failed."""
