"""A package served for the time of a measurement: `python -m serve start` on a free port, then SIGTERM."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelpack.errors import SegError

STOP_SECONDS = 30.0
"""Time to drain before it is killed."""
_LAST_WORDS_CHARACTERS = 2000


class ServerError(SegError):
    """The service that was to be measured did not start; the message quotes what it said."""


@dataclass(frozen=True)
class RunningServer:
    """Ready for requests."""

    url: str
    pid: int


@contextmanager
def served(package: Path, settings: Mapping[str, Any]) -> Iterator[RunningServer]:
    """Serve `package` while the block runs. Raises ServerError where it does not get ready."""
    overrides = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    command = [sys.executable, "-m", "serve", "start", str(package), "log_requests=false", *overrides]
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [*command, "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)},
            text=True,
            encoding="utf-8",
        )
        try:
            yield RunningServer(_url(process, package, stderr.fileno()), process.pid)
        finally:
            _stop(process)


def _url(process: subprocess.Popen[str], package: Path, stderr: int) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            return str(json.loads(line)["url"])
    code = process.wait()
    words = os.pread(stderr, 1 << 20, 0).decode(errors="replace").strip()[-_LAST_WORDS_CHARACTERS:]
    raise ServerError(f"serving {package} ended with exit code {code} before it was ready. It said: {words}")


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()
