"""A request like one that was answered takes a short way: clients send the same query with every image."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelpack.errors import SegError
from serve.problems import answer

HEADERS = frozenset((b"accept", b"x-deadline-ms"))
"""Beside method, path and query all that the parameters of an endpoint that remembers come from."""
MOST_KNOWN = 256
LONGEST_QUERY = 512
"""Bytes; longer ones are worked out each time."""
OK = 200
_VALUES = "values"
Key = tuple[object, ...]


@dataclass(frozen=True)
class Known:
    """What a request came to."""

    route: BaseRoute
    endpoint: Callable[..., Coroutine[Any, Any, Response]]
    values: dict[str, Any]
    """The endpoint's parameters, but the request."""


class KnownRequests:
    """Plain ASGI, the innermost: whoever may not ask is turned away before it.

    FastAPI takes longer to find a route, to open its stacks and to validate ten parameters than for all else
    that it does with a request. An endpoint says what came of them by `remember`; only what led to an answer
    is kept, so that nothing wrong is ever taken for right. Of the errors that such an endpoint raises, those
    of ours are answered here, all others at the outer edge.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._known: dict[Key, Known] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        key = _key(scope)
        known = self._known.get(key)
        if known is None:
            await self._work_out(key, scope, receive, send)
            return
        scope["route"] = known.route
        request = Request(scope, receive, send)
        try:
            response = await known.endpoint(request, **known.values)
        except SegError as error:
            response = await answer(request, error)
        await response(scope, receive, send)

    async def _work_out(self, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, receive, send_and_see)
        values = scope.get("state", {}).get(_VALUES)
        if values is None or status != OK or len(scope["query_string"]) > LONGEST_QUERY:
            return
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[key] = Known(scope["route"], scope["endpoint"], values)


def remember(request: Request, **values: Any) -> None:
    """Called by an endpoint with all its parameters but the request."""
    setattr(request.state, _VALUES, values)


def _key(scope: Scope) -> Key:
    said = (header for header in scope["headers"] if header[0] in HEADERS)
    return (scope["method"], scope["path"], scope["query_string"], *said)
