"""Whether the environment asks for traces, in OpenTelemetry's own words."""

import logging
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from modelpack.tables import resolve

if TYPE_CHECKING:
    from serve.tracing import Tracing

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def open_tracing() -> "Tracing | None":
    """None where no endpoint is named or, with a warning, where the packages are missing."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    if not all(_is_there(name) for name in _NEEDED):
        log.warning(
            "an OpenTelemetry endpoint is set, but its packages are missing: no traces. "
            "Install them with `pip install 'afdcd[otel]'`."
        )
        return None
    tracing: Tracing = resolve("serve.tracing:Tracing")()
    return tracing


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # a parent is missing
        return False
