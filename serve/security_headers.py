"""What every answer tells the browser that shows it."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""For answers that are data. Pages bring a policy of their own, files their own caching; those are kept."""
_RAW = tuple((name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items())
_UNLESS = {b"cache-control": b"etag"}
"""Header -> the one in an answer that speaks against it, where that is not the header itself."""


class SecurityHeaders:
    """Plain ASGI, the outermost: answers that other layers make get the headers too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name for name, _ in given}
                missing = [(name, value) for name, value in _RAW if _UNLESS.get(name, name) not in names]
                message["headers"] = [*given, *missing]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
