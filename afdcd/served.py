"""Start the service on a package as an operator would, send it one image, and keep what came back."""

import json
import os
import shlex
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelpack.atomic import write_bytes, write_json
from modelpack.errors import SegError
from modelpack.package import ModelPackage

SERVED_FOLDER = "served"
START_TIMEOUT_S = 120.0
REQUEST_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class ServiceError(SegError):
    """The service did not start, or did not answer."""


def serve_one_image(package_dir: Path, folder: Path) -> None:
    """Write what the service says to the package's first sample: overlay, statistics and `served.json`."""
    sample, image, _ = next(iter(ModelPackage.open(package_dir).samples()))
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / f"image{Path(sample.image).suffix}", image)
    with running_service(package_dir) as url:
        overlay, headers = _post(f"{url}/v1/segment?format=overlay", image)
        stats, _ = _post(f"{url}/v1/segment?format=stats", image)
    suffix = {"image/png": ".png", "image/jpeg": ".jpg"}[headers["content-type"]]
    write_bytes(folder / f"overlay{suffix}", overlay)
    write_json(folder / "stats.json", json.loads(stats))
    write_json(
        folder / "served.json",
        {
            "command": f"afdcd serve start {shlex.quote(str(package_dir))}",
            "request": "curl -F image=@photo.jpg 'http://127.0.0.1:8000/v1/segment?format=overlay' -o overlay"
            + suffix,
            "server_timing": headers.get("server-timing"),
            "image": f"image{Path(sample.image).suffix}",
            "overlay": f"overlay{suffix}",
        },
    )


@contextmanager
def running_service(package_dir: Path, overrides: Sequence[str] = ()) -> Iterator[str]:
    """A service process on a free port of the loopback interface; yields its URL, stops it with SIGTERM.

    The service also leaves by itself when this process is killed.

    overrides: settings of the service, as in `device=cuda`.
    """
    settings = [*overrides, f"parent_pid={os.getpid()}"]
    command = [sys.executable, "-m", "serve", "start", str(package_dir), *settings, "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
    watchdog.start()
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
    reader.start()
    try:
        url = _ready_url(process, errors)
        watchdog.cancel()
        yield url
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


def _ready_url(process: "subprocess.Popen[str]", errors: list[str]) -> str:
    for line in process.stdout or ():
        if line.startswith("{"):
            return str(json.loads(line)["url"])
    process.wait()
    raise ServiceError(
        f"the service did not start (exit code {process.returncode}): {''.join(errors[-3:]).strip()}"
    )


def _post(url: str, body: bytes) -> tuple[bytes, dict[str, Any]]:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/octet-stream"})
    with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as response:
        return response.read(), {key.lower(): value for key, value in response.headers.items()}
