"""A route that works a query out once: clients send the same one with every image."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

HEADERS = ("accept", "x-deadline-ms")
"""Beside the query all that the parameters of such an endpoint come from."""
MOST_KNOWN = 256
LONGEST_QUERY = 512
"""Bytes; longer ones are worked out each time."""


class RememberingRoute(APIRoute):
    """FastAPI takes longer to validate ten parameters than for all else that it does with a request.

    The endpoint says what came of them by `remember`; only what led to an answer is kept, so that nothing
    wrong is ever taken for right.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        work_out = super().get_route_handler()
        endpoint = self.endpoint
        known: dict[tuple[object, ...], dict[str, Any]] = {}

        async def handle(request: Request) -> Response:
            query: bytes = request.scope["query_string"]
            key = (query, *(tuple(request.headers.getlist(name)) for name in HEADERS))
            if (values := known.get(key)) is not None:
                response: Response = await endpoint(request, **values)
                return response
            response = await work_out(request)
            if len(query) <= LONGEST_QUERY and (values := getattr(request.state, "values", None)) is not None:
                if len(known) >= MOST_KNOWN:
                    known.clear()
                known[key] = values
            return response

        return handle


def remember(request: Request, **values: Any) -> None:
    """Called by the endpoint with all its parameters but the request."""
    request.state.values = values
