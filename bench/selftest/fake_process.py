"""The fake server as a process of its own, and its own record of what it did."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from bench.selftest.fake_lanes import LoadBehaviour
from bench.selftest.fake_server import RECORD_PATH

RECORD_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Record:
    """When each request came and when its answer went, (n,) in order of arrival; `time.monotonic_ns`."""

    came_ns: NDArray[np.int64]
    went_ns: NDArray[np.int64]


@dataclass(frozen=True)
class FakeProcess:
    """It is listening."""

    url: str

    def record(self) -> Record:
        """Everything since it started."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=RECORD_TIMEOUT_SECONDS)
        try:
            connection.request("GET", RECORD_PATH)
            told = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return Record(np.array(told["came_ns"], np.int64), np.array(told["went_ns"], np.int64))


@contextmanager
def fake_process(behaviour: LoadBehaviour) -> Iterator[FakeProcess]:
    """The server while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.selftest.fake_server", behaviour.model_dump_json()],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)},
        text=True,
    )
    try:
        assert process.stdout is not None
        yield FakeProcess(json.loads(process.stdout.readline())["url"])
    finally:
        process.kill()
        process.wait()
