"""Our service with a shadow beside its answers: what the shadow takes from them (docs/loop.md)."""

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

from bench.load.server_process import ServerError

MODELS_PATH = "/v1/models"
READY_SECONDS = 120.0
"""For a shadow to be loaded, which begins when the service answers already."""
LOOK_SECONDS = 0.1


def shadow_settings(shadow: dict[str, Any]) -> dict[str, Any]:
    """As `afdcd serve start` takes them: `shadow.package`, `shadow.share` and so on."""
    return {f"shadow.{key}": value for key, value in shadow.items()}


def wait_for_shadow(url: str) -> None:
    """Until it computes in every worker. Raises ServerError where it does not come to that."""
    end = time.monotonic() + READY_SECONDS
    while (told := _shadow_of(url))["state"] != "ready":
        if told["state"] == "failed" or time.monotonic() > end:
            raise ServerError(f"the service has no shadow to measure ({told['state']}): {told['reason']}")
        time.sleep(LOOK_SECONDS)


def _shadow_of(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=READY_SECONDS)
    try:
        connection.request("GET", MODELS_PATH)
        return dict(json.loads(connection.getresponse().read())["shadow"])
    finally:
        connection.close()
