"""OpenTelemetry: a span for each request, and below it one for each of its stages.

Imported only where traces are asked for (`serve/telemetry.py`): its packages are an extra.
"""

import os
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from starlette.types import Scope

from serve.timing import Timings

SERVICE_NAME = "afdcd"


class Tracing:
    """Begins and ends the spans of requests; one for each process, made after the fork.

    Sampler, service name, headers and batching are set by OpenTelemetry's own variables.
    """

    def __init__(self) -> None:
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE_NAME}
        self._provider = TracerProvider(resource=Resource.create(named))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("afdcd.serve")

    def begin(self, scope: Scope) -> Span:
        """The span of a request, below the caller's where its `traceparent` names one."""
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return self._tracer.start_span(
            scope["method"],
            context=extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": scope["method"], "url.path": scope["path"]},
        )

    def end(self, span: Span, scope: Scope, route: str, status: int) -> None:
        """Name the span after its route, hang the stages below it, and close it."""
        state: Mapping[str, Any] = scope["state"]
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("afdcd.request_id", state["request_id"])
        if state["error"]:
            span.set_attribute("error.type", state["error"])
        if status >= 500 or status == 0:
            span.set_status(StatusCode.ERROR)
        timings: Timings | None = state["timings"]
        if timings is not None and span.is_recording():
            below, offset_ns = set_span_in_context(span), time.time_ns() - time.perf_counter_ns()
            for name, begun_ns, ended_ns in timings.visits:
                stage = self._tracer.start_span(name, context=below, start_time=begun_ns + offset_ns)
                stage.end(ended_ns + offset_ns)
        span.end()

    def trace_id(self, span: Span) -> str:
        """As logs and `traceparent` write it: 32 hexadecimal digits."""
        return format(span.get_span_context().trace_id, "032x")

    def close(self) -> None:
        """Send what waits."""
        self._provider.shutdown()
