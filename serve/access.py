"""Before every request: may whoever sends it do that? Closed unless a rule opens it."""

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.errors import ForbiddenError, RequestError, UnauthorizedError
from serve.keys import KeyFile
from serve.keys import Scope as Needed
from serve.problems import answer

_READING = ("GET", "HEAD", "OPTIONS")
RULES: tuple[tuple[tuple[str, ...], re.Pattern[str], Needed | None], ...] = (
    (_READING, re.compile(r"/|/docs|/openapi\.json|/web/.*|/livez|/readyz|/v2/health/.*"), None),
    (_READING, re.compile(r".*"), Needed.INFER),
    (
        ("POST",),
        re.compile(r"/v1/segment(/.*)?|/v2/models/[^/]+(/versions/[^/]+)?/infer|/v2/repository/index"),
        Needed.INFER,
    ),
)
"""(methods, whole path, scope that it takes or None): the first that fits. What none fits takes `admin`."""


def scope_for(method: str, path: str) -> Needed | None:
    """What a key has to hold for this request; None: no key is asked for."""
    for methods, pattern, scope in RULES:
        if method in methods and pattern.fullmatch(path):
            return scope
    return Needed.ADMIN


class Access:
    """Plain ASGI, inside `RequestContext`: a refusal is answered and counted like any other problem.

    With keys: 401 without a known one, 403 for one of too narrow a scope. Without keys everybody may do
    everything, but a page of another site in the browser of somebody here may not change the service.
    """

    def __init__(self, app: ASGIApp, key_file: KeyFile | None, origins: Collection[str]) -> None:
        self._app = app
        self._key_file = key_file
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            needed = scope_for(scope["method"], scope["path"])
            refusal = None if needed is None else self._refusal(scope, needed)
            if refusal is not None:
                response = await answer(Request(scope), refusal)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, needed: Needed) -> RequestError | None:
        if self._key_file is None:
            return self._foreign_page(Headers(scope=scope)) if needed == Needed.ADMIN else None
        secret = _secret_in(Headers(scope=scope))
        if not secret:
            return UnauthorizedError("this needs an API key, as Authorization: Bearer KEY or X-API-Key: KEY.")
        key = self._key_file.find(secret)
        if key is None:
            return UnauthorizedError("the API key is not known; it may have been revoked.", was_sent=True)
        if needed not in key.scopes:
            return ForbiddenError(f"this needs a key of scope {needed}; {key.name!r} has not got it.", needed)
        return None

    def _foreign_page(self, headers: Headers) -> ForbiddenError | None:
        """Browsers name the page that asks. A page of this service at an address, not a name, is our own: a
        name could be made to lead here by whoever owns it.
        """
        origin = headers.get("origin")
        if origin is None or origin in self._origins:
            return None
        page = urlsplit(origin)
        if page.netloc == headers.get("host") and _cannot_be_led_here(page.hostname or ""):
            return None
        return ForbiddenError("pages of other sites may not change this service without a key.", Needed.ADMIN)


def _cannot_be_led_here(host: str) -> bool:
    """Is this an address, or the one name that always means this machine?"""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def _secret_in(headers: Headers) -> bytes:
    kind, _, credentials = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return credentials.strip().encode("latin-1")
    return headers.get("x-api-key", "").strip().encode("latin-1")
