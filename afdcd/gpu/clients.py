"""Closed-loop clients: each sends its next request when the last one is answered."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlsplit

import numpy as np

from bench.statistics import percentile_interval

TIMEOUT_S = 30.0
NO_ANSWER = 0
"""Counted as a status: the connection broke, or nothing came in time."""


@dataclass
class Load:
    """What some clients saw together."""

    clients: int
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    answered_ms: list[float] = field(default_factory=list)
    """Of the requests that were answered with 200, from the first byte sent to the last received."""

    @property
    def requests(self) -> int:
        return self.statuses.total()

    @property
    def answers_per_s(self) -> float:
        return len(self.answered_ms) / self.seconds if self.seconds else 0.0

    def percentile(self, percent: int) -> float | None:
        """None where there are too few answers for it."""
        return percentile_interval(np.asarray(self.answered_ms), percent).value if self.answered_ms else None


def closed_loop(
    url: str, bodies: Sequence[bytes], *, clients: int, requests: int, most_seconds: float
) -> Load:
    """POST `bodies` in turn, one connection per client, until `requests` were sent or the time is over."""
    load, lock, numbers = Load(clients), threading.Lock(), count()
    begun = time.perf_counter()

    def client() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)
        try:
            while time.perf_counter() - begun < most_seconds:
                with lock:
                    number = next(numbers)
                if number >= requests:
                    return
                sent = time.perf_counter()
                status = _post(connection, url, bodies[number % len(bodies)])
                elapsed_ms = 1000 * (time.perf_counter() - sent)
                with lock:
                    load.statuses[status] += 1
                    if status == http.client.OK:
                        load.answered_ms.append(elapsed_ms)
        finally:
            connection.close()

    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - begun
    return load


def _post(connection: http.client.HTTPConnection, url: str, body: bytes) -> int:
    """The status, after the whole answer was read; a broken connection is opened anew by the next request."""
    parts = urlsplit(url)
    try:
        connection.request(
            "POST", f"{parts.path}?{parts.query}", body, {"Content-Type": "application/octet-stream"}
        )
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return NO_ANSWER
    return response.status
