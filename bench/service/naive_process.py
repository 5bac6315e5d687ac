"""`bench.service.naive` as a process: uvicorn with its defaults, on a port that it chooses."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load.server_process import RunningServer, ServerError

PATH = "/segment"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.05
LAST_WORDS_CHARACTERS = 2000
_URL = re.compile(r"running on (http://\S+)")


@contextmanager
def naive_served(graph: Path, size: tuple[int, int]) -> Iterator[RunningServer]:
    """Serve an ONNX file whose input is `size` (height, width) while the block runs.

    Requests are not logged, as those to our service are not. Raises ServerError where it does not get ready.
    """
    height, width = size
    command = [sys.executable, "-m", "uvicorn", "bench.service.naive:app", "--port", "0", "--no-access-log"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdout=said,
            stderr=said,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path),
                "AFDCD_NAIVE_GRAPH": str(graph.resolve()),
                "AFDCD_NAIVE_SIZE": f"{width}x{height}",
            },
        )
        try:
            yield RunningServer(_url(process, said.fileno()), process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _url(process: subprocess.Popen[bytes], said: int) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        words = os.pread(said, 1 << 20, 0).decode(errors="replace")
        if found := _URL.search(words):
            return found[1]
        if process.poll() is not None:
            last = words.strip()[-LAST_WORDS_CHARACTERS:]
            raise ServerError(
                f"the naive endpoint ended with exit code {process.returncode}. It said: {last}"
            )
        time.sleep(POLL_SECONDS)
    raise ServerError(f"the naive endpoint was not ready after {START_SECONDS:g} s.")
