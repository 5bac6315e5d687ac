"""A tiny package, served in this process and by a process of its own."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from serve import ServeSettings, create_app
from tests.tiny_package import write_tiny_package

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
SIZE = 48, 64
"""(height, width) that the tiny package takes."""


@dataclass
class RunningServer:
    """A server process that has said it is ready."""

    process: subprocess.Popen[str]
    url: str
    said: str
    """What it printed up to then."""

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.url)
        assert url.port is not None
        return url.host, url.port

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)


@contextmanager
def running_server(package: Path, *overrides: str, port: int = 0) -> Iterator[RunningServer]:
    arguments = ["start", str(package), "threads=1", "workers=1", *overrides, "--port", str(port), "--json"]
    command = [sys.executable, "-m", "serve", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        said: list[str] = []
        while not said or not said[-1].startswith("{"):
            line = process.stdout.readline()
            assert line, f"the server ended with {process.wait(START_TIMEOUT_S)} before it was ready"
            said.append(line)
        yield RunningServer(process, json.loads(said[-1])["url"], "".join(said))
    finally:
        process.kill()
        process.wait(STOP_TIMEOUT_S)


@contextmanager
def app_client(settings: ServeSettings) -> Iterator[TestClient]:
    """The application in this process, ready."""
    with TestClient(create_app(settings)) as client:
        wait_until_ready(client)
        yield client


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def wait_until_ready(client: TestClient) -> None:
    wait_until(lambda: client.get("/readyz").status_code == 200)


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_package(tmp_path_factory.mktemp("serve") / "tiny", size=SIZE).path


@pytest.fixture(scope="session")
def slow_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some tens of milliseconds an image."""
    return write_tiny_package(
        tmp_path_factory.mktemp("serve") / "slow", size=SIZE, slow_layers=4, num_samples=1
    ).path


@pytest.fixture(scope="session")
def client(package: Path) -> Iterator[TestClient]:
    with app_client(ServeSettings(package=package, threads=1)) as client:
        yield client


@pytest.fixture(scope="session")
def server(package: Path) -> Iterator[RunningServer]:
    with running_server(package) as server:
        yield server
