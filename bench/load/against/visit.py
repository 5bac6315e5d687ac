"""One visit of one generator: what both can be asked for."""

import shutil
import subprocess
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import RuntimeUnavailableError, SegError
from modelpack.settings import StrictModel

GRACE_SECONDS = 30.0
"""Beyond the time it was asked to run for, before a tool is killed."""
_LAST_WORDS_CHARACTERS = 500


class ToolError(SegError):
    """A load generator of others that failed; the message quotes what it said."""


class Visit(StrictModel):
    """Closed loop: throughput, and latency from the send."""

    per_second: float
    median_ms: float
    p99_ms: float
    errors: int

    @classmethod
    def of_samples(cls, tool: str, took_ms: NDArray[np.float64], seconds: float, errors: int) -> Self:
        """From the times (n,) of the right answers. Raises ToolError where there was none."""
        if not len(took_ms):
            raise ToolError(f"{tool} got no right answer ({errors} others); check the address and the body.")
        return cls(
            per_second=len(took_ms) / seconds,
            median_ms=float(np.median(took_ms)),
            p99_ms=float(np.quantile(took_ms, 0.99)),
            errors=errors,
        )


def find_tool(name: str) -> str:
    """Path of an installed program. Raises RuntimeUnavailableError."""
    path = shutil.which(name)
    if path is None:
        raise RuntimeUnavailableError(
            f"{name} is not installed; on Debian and Ubuntu: apt-get install {name}."
        )
    return path


def output_of(command: Sequence[str], seconds: float) -> str:
    """What a tool printed on stdout. Raises ToolError."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + GRACE_SECONDS, check=True
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip()[-_LAST_WORDS_CHARACTERS:]
        raise ToolError(f"{command[0]} ended with exit code {error.returncode}. It said: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{command[0]} did not end after {error.timeout:g} s.") from error
    return done.stdout
