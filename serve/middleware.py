"""Around every request: its id, one log line, and its place in the metrics."""

import logging
import re
from secrets import token_hex
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.metrics import Metrics
from serve.problems import unexpected

if TYPE_CHECKING:
    from serve.tracing import Tracing

logger = logging.getLogger("serve.requests")

ID_BYTES = 16
_VALID_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestContext:
    """Plain ASGI: sets `request.state.request_id` and `.error`, adds `X-Request-Id`, counts, logs, traces.

    The outer edge of the application: an exception that no handler knows becomes a 500 problem here.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, logs_requests: bool, tracing: "Tracing | None" = None
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._logs_requests = logs_requests
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = perf_counter()
        request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        state.update(request_id=request_id, error="", timings=None)
        span, traced = None, {}
        if self._tracing is not None:
            span = self._tracing.begin(scope)
            traced = {"trace_id": self._tracing.trace_id(span)}
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            if status:
                raise
            await unexpected(Request(scope), error)(scope, receive, send_with_id)
        finally:
            seconds = perf_counter() - start
            route = getattr(scope.get("route"), "path", "unmatched")
            self._metrics.count_request(route, status, seconds, state["error"])
            if self._logs_requests:
                _log(scope, request_id, status, seconds * 1000, state["error"], traced)
            if self._tracing is not None and span is not None:
                self._tracing.end(span, scope, route, status)


def _request_id(scope: Scope) -> str:
    """The client's id where it is short and harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _VALID_ID.fullmatch(value):
            return str(value.decode())
    return token_hex(ID_BYTES)


def _log(
    scope: Scope, request_id: str, status: int, duration_ms: float, error: str, traced: dict[str, str]
) -> None:
    fields = {
        "request_id": request_id,
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "duration_ms": round(duration_ms, 2),
        "error": error,
        **traced,
    }
    path = quote(scope["path"])  # a line break in it would be a line of its own
    line = f"{scope['method']} {path} {status} {duration_ms:.1f} ms {request_id} {error}".rstrip()
    logger.info("%s", line, extra={"fields": fields})
