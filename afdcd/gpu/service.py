"""Step `service`: the service as a process on the device, under 1, 4 and 16 clients over loopback."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import simplejpeg

from afdcd.gpu.clients import Load, closed_loop
from afdcd.gpu.step import Context, Note, StepSkippedError
from afdcd.served import running_service
from modelpack.errors import RuntimeUnavailableError, SegError
from modelpack.package import ModelPackage
from modelpack.pixels import decode_image

CLIENTS = (1, 4, 16)
REQUESTS = 400
"""Per number of clients, all together."""
MOST_SECONDS = 30.0
WARM_UP_REQUESTS = 20
JPEG_QUALITY = 90
MAX_PIXELS = 1 << 28
TIMEOUT_S = 30.0
ANSWER = "png"
"""The label map."""


def run(context: Context, note: Note) -> None:
    if not context.package.is_dir():
        raise StepSkippedError("there is no package to serve: the export left none")
    images = sample_jpegs(context.package)
    rows: list[dict[str, Any]] = []
    with running_service(context.package, (f"device={context.device}", "log_requests=false")) as url:
        note("runtime", served_runtime(url, context.device))
        note("request", f"POST /v1/segment?format={ANSWER}")
        note("jpeg_bytes", [len(image) for image in images])
        segment = f"{url}/v1/segment?format={ANSWER}"
        closed_loop(segment, images, clients=1, requests=WARM_UP_REQUESTS, most_seconds=MOST_SECONDS)
        for clients in CLIENTS:
            load = closed_loop(segment, images, clients=clients, requests=REQUESTS, most_seconds=MOST_SECONDS)
            rows.append(row(load))
            note("closed_loop", rows)
    failed = sum(entry["not_answered"] for entry in rows)
    if failed:
        raise SegError(f"{failed} requests were not answered with 200.")


def served_runtime(url: str, device: str) -> dict[str, Any]:
    """What the service says of itself; raises RuntimeUnavailableError where it runs elsewhere."""
    with urllib.request.urlopen(f"{url}/v1/model", timeout=TIMEOUT_S) as response:
        described: dict[str, Any] = json.loads(response.read())["runtime"]
    if described["device"].partition(":")[0] != device:
        raise RuntimeUnavailableError(f"asked for {device}, but the service runs on {described['device']}.")
    return described


def sample_jpegs(package: Path) -> list[bytes]:
    """The package's samples as photographs arrive."""
    return [
        simplejpeg.encode_jpeg(decode_image(image, max_pixels=MAX_PIXELS), quality=JPEG_QUALITY)
        for _, image, _ in ModelPackage.open(package).samples()
    ]


def row(load: Load) -> dict[str, Any]:
    return {
        "clients": load.clients,
        "requests": load.requests,
        "not_answered": load.requests - load.statuses.get(200, 0),
        "p50_ms": load.percentile(50),
        "p95_ms": load.percentile(95),
        "p99_ms": load.percentile(99),
        "answers_per_s": load.answers_per_s,
    }
