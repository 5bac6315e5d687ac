"""HEAD: what GET would answer, without its body. Monitors and load balancers ask so."""

from starlette.types import ASGIApp, Receive, Scope, Send


class Head:
    """Plain ASGI, the innermost: logs, metrics and keys see the HEAD. The server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, send)
        finally:
            scope["route"] = as_get.get("route")
