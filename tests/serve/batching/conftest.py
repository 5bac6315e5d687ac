"""Services that join requests on the CPU, where a test can look at every run."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from modelpack.runtimes.onnxruntime import OnnxRuntime
from serve import ServeSettings
from tests.serve.conftest import app_client, wait_until
from tests.serve.pictures import png

MOST_REQUESTS = 32
PATIENT_S = 600
"""So that no deadline makes a run smaller, however long a test holds the first one."""


def picture(seed: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@dataclass
class Runs:
    """Stands before the graph: notes what each run got, and holds runs while it is closed."""

    poison: NDArray[np.uint8] | None = None
    """An image with which every run fails."""
    seen: list[list[NDArray[np.uint8]]] = field(default_factory=list)
    opened: threading.Event = field(default_factory=threading.Event)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real_run = OnnxRuntime.run_gathered

        def run(runtime, images):
            self.seen.append(list(images))
            assert self.opened.wait(30)
            if self.poison is not None and any(
                np.array_equal(image, self.poison) for part in images for image in part
            ):
                raise RuntimeError("poison")
            return real_run(runtime, images)

        monkeypatch.setattr(OnnxRuntime, "run_gathered", run)

    @property
    def images(self) -> list[int]:
        """How many each run had."""
        return [sum(map(len, run)) for run in self.seen]


@dataclass
class Joining:
    """A service that joins requests, and its clients, each in a thread of its own."""

    client: TestClient
    runs: Runs
    pool: ThreadPoolExecutor

    def send(self, image: NDArray[np.uint8], query: str = "", **headers: str) -> "Future[httpx.Response]":
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.pool.submit(self.client.post, f"/v1/segment{query}", content=png(image), headers=headers)

    def metric(self, name: str) -> float:
        """Its sum over the labels."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{"))

    def keep_busy(self) -> "Future[httpx.Response]":
        """A request that the graph holds until `runs.opened` is set: all others have to wait meanwhile."""
        first = self.send(picture(1000))
        wait_until(lambda: len(self.runs.seen) == 1)
        return first

    def wait_for(self, waiting: int) -> None:
        """Until so many requests wait for a run."""
        wait_until(lambda: self.metric("afdcd_batch_waiting") == waiting)


Serve = Callable[..., Joining]


@pytest.fixture
def serve_joined(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start such a service; keywords that `BatchingSettings` does not know are the service's own."""
    with ExitStack() as stack:
        runs = Runs()

        def start(folder: Path = package, **given: object) -> Joining:
            names = ("max_images", "max_delay_ms", "preferred_sizes")
            batching = {name: given.pop(name) for name in names if name in given}
            given = {"deadline_s": PATIENT_S, "threads": 1, **given}
            settings = ServeSettings(package=folder, batching={"enabled": True, **batching}, **given)
            client = stack.enter_context(app_client(settings))
            runs.install(monkeypatch)
            pool = stack.enter_context(ThreadPoolExecutor(MOST_REQUESTS))
            stack.callback(runs.opened.set)
            return Joining(client, runs, pool)

        yield start
